// Report: the message of a violated invariant, and the trace of the events before it.
// One run a process at a time; the process that finds a violation ends with violation_exit_code.
// Owns the name of the run under way, for the message.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace iris::sim {

inline constexpr int violation_exit_code = 3;

// Sets the seed, clock and trace for the message of a violation. The timeline outlives the run.
void begin_report(std::uint64_t seed, const class Timeline* timeline, bool trace);
[[nodiscard]] bool tracing();
// One line of the trace: time, host (-1: none), text.
void trace_line(int host, const std::string& text);

// `invariant` is a name of invariants.md. Prints one line on stderr, ends the process.
[[noreturn]] void violation(std::string_view invariant, const std::string& text);

}  // namespace iris::sim

#define VERIFY(condition, invariant, text)                     \
  do {                                                         \
    if (!(condition)) ::iris::sim::violation(invariant, text); \
  } while (false)
#define TRACE(host, text)                                            \
  do {                                                               \
    if (::iris::sim::tracing()) ::iris::sim::trace_line(host, text); \
  } while (false)
