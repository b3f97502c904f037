#include "tests/sim/report.h"

#include <cstdio>
#include <cstdlib>

#include "tests/sim/timeline.h"

namespace iris::sim {
namespace {

struct Report {
  std::uint64_t seed = 0;
  const Timeline* timeline = nullptr;
  bool trace = false;
};
Report report;

double seconds_now() {
  return report.timeline == nullptr ? 0.0 : static_cast<double>(report.timeline->now_us()) / 1e6;
}

}  // namespace

void begin_report(std::uint64_t seed, const Timeline* timeline, bool trace) {
  report = {seed, timeline, trace};
  if (trace) std::setvbuf(stdout, nullptr, _IOLBF, BUFSIZ);  // so that an abort loses no line
}

bool tracing() { return report.trace; }

void trace_line(int host, const std::string& text) {
  if (host < 0) {
    std::printf("%11.6f     %s\n", seconds_now(), text.c_str());
  } else {
    std::printf("%11.6f  h%d %s\n", seconds_now(), host, text.c_str());
  }
}

void violation(std::string_view invariant, const std::string& text) {
  std::fflush(stdout);
  std::fprintf(stderr, "violation of %.*s in seed %llu at %.6f s: %s\n",
               static_cast<int>(invariant.size()), invariant.data(),
               static_cast<unsigned long long>(report.seed), seconds_now(), text.c_str());
  std::fflush(stderr);
  std::_Exit(violation_exit_code);
}

}  // namespace iris::sim
