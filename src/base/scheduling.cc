#include "src/base/scheduling.h"

#include <sched.h>
#include <time.h>  // NOLINT(modernize-deprecated-headers): clock_gettime is POSIX

#include <cstdlib>
#include <filesystem>
#include <system_error>

namespace iris {
namespace {

std::uint64_t read_clock(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 +
         static_cast<std::uint64_t>(now.tv_nsec);
}

}  // namespace

Scheduling::Scheduling(bool allowed) : ours_(allowed && sched_getscheduler(0) == SCHED_OTHER) {}

bool Scheduling::wants_batch(bool batch, std::uint64_t used_ns, std::uint64_t passed_ns) {
  return used_ns * 100 >= passed_ns * (batch ? idle_percent : busy_percent);
}

void Scheduling::tick() {
  const std::uint64_t now_ns = read_clock(CLOCK_MONOTONIC);
  const std::uint64_t passed_ns = now_ns - began_ns_;
  if (passed_ns < window_ns) return;
  const std::uint64_t used_ns = read_clock(CLOCK_THREAD_CPUTIME_ID);
  const bool batch = wants_batch(batch_, used_ns - used_ns_, passed_ns);
  if (ours_ && batch != batch_) set_all(batch);
  batch_ = batch;
  used_ns_ = used_ns;
  began_ns_ = now_ns;
}

void Scheduling::set_all(bool batch) {
  const sched_param none{};
  std::error_code ignored;  // a thread that ends meanwhile; a system without /proc
  std::filesystem::directory_iterator thread("/proc/self/task", ignored);
  for (; thread != std::filesystem::directory_iterator(); thread.increment(ignored)) {
    const auto id = static_cast<pid_t>(std::atol(thread->path().filename().c_str()));
    static_cast<void>(sched_setscheduler(id, batch ? SCHED_BATCH : SCHED_OTHER, &none));
  }
}

}  // namespace iris
