// Abort: lets one thread end the blocking calls of another: the one under way and all later ones.
// Any thread. Borrows the context of the call between begin() and end().
#pragma once

#include <grpcpp/client_context.h>

#include <atomic>
#include <mutex>

#include "raft/check.h"

namespace iris::client {

class Abort {
 public:
  // For ever.
  void set() {
    set_.store(true, std::memory_order_relaxed);
    const std::lock_guard lock(mutex_);
    if (context_ != nullptr) context_->TryCancel();
  }
  [[nodiscard]] const std::atomic<bool>& flag() const { return set_; }

  // `context` is the call to end, from now until end(). False: aborted already, do not begin the
  // call. REQUIRES: no other call is under way.
  [[nodiscard]] bool begin(grpc::ClientContext& context) {
    const std::lock_guard lock(mutex_);
    CHECK(context_ == nullptr);
    if (set_.load(std::memory_order_relaxed)) return false;
    context_ = &context;
    return true;
  }
  void end() {
    const std::lock_guard lock(mutex_);
    context_ = nullptr;
  }

 private:
  std::atomic<bool> set_ = false;
  std::mutex mutex_;
  grpc::ClientContext* context_ = nullptr;
};

}  // namespace iris::client
