// Alarm: the first failure of the disk, reported once. Each lane and RocksDB's own threads raise
// it. Once it is raised nothing in the store succeeds any more, and nothing is tried again (hazard
// 95): after a failed sync nobody can know what is on the disk.
// Any thread. Owns the first error.
#pragma once

#include <atomic>
#include <functional>
#include <mutex>
#include <optional>
#include <utility>

#include "raft/result.h"

namespace iris::store {

class Alarm {
 public:
  // Later errors are dropped: they follow from the first.
  void raise(Error error) {
    const std::lock_guard lock(mutex_);
    if (raised_.load()) return;
    error_ = std::move(error);
    raised_.store(true);
    if (told_) told_(*error_);
  }
  // `told` gets the error, once, on the thread that raises it; at once where that has happened
  // already. It is called under a lock and must not come back here. nullptr: nobody is told.
  void listen(std::function<void(const Error&)> told) {
    const std::lock_guard lock(mutex_);
    told_ = std::move(told);
    if (told_ && error_) told_(*error_);
  }
  [[nodiscard]] bool raised() const { return raised_.load(std::memory_order_acquire); }

 private:
  std::atomic<bool> raised_{false};
  std::mutex mutex_;
  std::optional<Error> error_;
  std::function<void(const Error&)> told_;
};

}  // namespace iris::store
