// CPU time of this thread: machines are shared, and the longest of many turns is the one that was
// interrupted.
#pragma once

#include <ctime>

namespace iris::testing {

inline double cpu_ms() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e3 + static_cast<double>(now.tv_nsec) / 1e6;
}

}  // namespace iris::testing
