// LeaseTimes: the times that follow from -session-ttl, in ticks, and how time is told to others.
// Any thread; plain values.
#pragma once

#include <algorithm>
#include <cstdint>

namespace iris::listening {

// Ticks are counted from here, so that a time before the start of the process is a tick too.
inline constexpr std::uint64_t first_tick = std::uint64_t{1} << 48;

struct LeaseTimes {
  LeaseTimes(std::uint64_t session_ttl_ms, std::uint32_t ms_of_tick)
      : tick_ms(ms_of_tick),
        ttl(std::max<std::uint64_t>(session_ttl_ms / ms_of_tick, 16)),
        report(std::clamp<std::uint64_t>(1'000 / ms_of_tick, 1, ttl / 16)),
        lost(4 * report),
        trust(ttl / 2) {}

  std::uint32_t tick_ms;
  std::uint64_t ttl;
  // Between two reports of a node where nothing changes. A few of them may be lost.
  std::uint64_t report;
  // A node that was not heard for so long serves nothing any more: its sessions are silent from
  // then on, for it may have served them until then. A new leader waits so long for a node's
  // report.
  std::uint64_t lost;
  // A new leader that was in step with the former one so lately goes on with what it was told.
  std::uint64_t trust;

  // Rounded so that a lease becomes longer by it, never shorter.
  [[nodiscard]] std::uint64_t ms_since(std::uint64_t then, std::uint64_t now) const {
    return (now - std::min(then, now)) * tick_ms;
  }
  [[nodiscard]] std::uint64_t tick_before(std::uint64_t ms, std::uint64_t now) const {
    return now - std::min(ms / tick_ms, first_tick);
  }
};

}  // namespace iris::listening
