// Alarm: the first thing the disk refused, told once. Every lane and RocksDB's own threads raise
// it; once raised nothing in the store succeeds any more, and nothing is tried again (hazard 95).
// Any thread. Owns the mutex around its own fields only.
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
  void raise(Error error) {
    const std::lock_guard lock(mutex_);
    if (raised_.load()) return;
    error_ = std::move(error);
    raised_.store(true);
    if (told_) told_(*error_);
  }
  // What is told, on the thread that raises; at once where that has happened already.
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
