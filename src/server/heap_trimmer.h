// HeapTrimmer: gives memory that is free in this process back to the system. glibc keeps what a
// burst of calls needed, for ever: 300 MiB stayed after 16,000 calls that waited at once.
// A thread of its own looks every few seconds, since trimming a large heap takes milliseconds.
// start() and the destructor on one thread.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <thread>

namespace iris {

class HeapTrimmer {
 public:
  static constexpr std::chrono::milliseconds look_every{3'000};
  // Less than this is kept: it will be needed again soon.
  static constexpr std::size_t kept_bytes = 16u << 20;

  HeapTrimmer() = default;
  ~HeapTrimmer();
  HeapTrimmer(const HeapTrimmer&) = delete;
  HeapTrimmer& operator=(const HeapTrimmer&) = delete;

  void start();

 private:
  void run();

  std::mutex mutex_;
  std::condition_variable changed_;
  bool ended_ = false;  // under mutex_
  std::thread thread_;
};

}  // namespace iris
