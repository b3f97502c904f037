// HeapTrimmer: gives memory that is free in this process back to the system. glibc keeps what a
// burst of calls needed, for ever: 300 MiB stayed after 16,000 calls that waited at once.
// A thread of its own looks every few seconds, since trimming a large heap takes milliseconds.
// A busy process keeps more: with one bound of 16 MiB for both, a node under 25,000 writes a second
// gave back and faulted in the same pages at every look (1.1 % of its CPU time, by perf).
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
  static constexpr std::size_t kept_busy_bytes = 64u << 20;
  // The process is busy when it used more CPU time than this since the last look: a tenth of a
  // core.
  static constexpr std::chrono::milliseconds busy_cpu{300};

  // What a look allows to be free.
  static std::size_t kept(std::chrono::nanoseconds cpu_since_last_look) {
    return cpu_since_last_look > busy_cpu ? kept_busy_bytes : kept_bytes;
  }

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
