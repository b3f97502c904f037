// Scheduling: under which policy of the kernel the threads of a server run. Owns nothing; needs no
// privilege; where the kernel says no, or the administrator chose a policy (chrt, systemd's
// CPUSchedulingPolicy), it leaves all as it is.
//
// Loop, lanes and queue thread wake each other for every batch. Under SCHED_BATCH a woken thread
// waits for its turn instead of interrupting the one that runs; it finds more to do at once, and a
// server with much to do loses less to switching. With little to do it would only wait, where other
// programs keep the processors busy. So the threads are SCHED_BATCH while the loop has much to do.
// Three threads that wake each other did 1.1 times the jobs on two processors (iris-microbench
// three_threads).
#pragma once

#include <cstdint>

namespace iris {

class Scheduling {
 public:
  // On the thread of the loop. Not `allowed`: the kernel is neither asked nor told anything.
  explicit Scheduling(bool allowed = true);
  // On the loop, at least every few hundred milliseconds.
  void tick();

  // What share of a processor the loop used, in percent: from the first on it is busy, and below
  // the second not any more.
  static constexpr std::uint64_t busy_percent = 10;
  static constexpr std::uint64_t idle_percent = 4;
  static constexpr std::uint64_t window_ns = 100'000'000;
  // Whether threads that are `batch` should be.
  static bool wants_batch(bool batch, std::uint64_t used_ns, std::uint64_t passed_ns);
  // Every thread there is; threads made later inherit.
  static void set_all(bool batch);

 private:
  bool ours_ = false;
  bool batch_ = false;
  std::uint64_t used_ns_ = 0;
  std::uint64_t began_ns_ = 0;
};

}  // namespace iris
