// Stats: counters of all that happened in runs. Plain numbers, so that worker processes can add
// theirs up in shared memory. No decision depends on them.
#pragma once

#include <array>
#include <cstdint>

#include "tests/sim/options.h"

namespace iris::sim {

struct Stats {
  std::uint64_t seeds = 0;
  std::uint64_t seeds_twice = 0;  // run a second time, with the same trace hash
  std::uint64_t events = 0;
  std::uint64_t simulated_us = 0;
  std::uint64_t messages = 0;
  std::uint64_t commits = 0;
  std::uint64_t elections = 0;
  std::uint64_t crashes = 0;
  std::uint64_t starts = 0;
  std::uint64_t snapshots = 0;
  std::uint64_t member_changes = 0;
  std::uint64_t writes_ok = 0;
  std::uint64_t writes_failed = 0;  // refused, or a condition that did not hold
  std::uint64_t writes_unknown = 0;
  std::uint64_t reads_checked = 0;
  std::uint64_t reads_failed = 0;
  std::uint64_t streams = 0;    // Listen calls
  std::uint64_t updates = 0;    // judged, marks too
  std::uint64_t bookmarks = 0;  // that arrived
  std::uint64_t resyncs = 0;
  std::uint64_t takeovers = 0;
  std::uint64_t expired = 0;  // sessions
  std::uint64_t hashes = 0;   // of a state, told to a leader
  std::uint64_t verdicts = 0;
  std::uint64_t odd_ones = 0;  // found
  std::array<std::uint64_t, fault_count> faults{};

  void add(const Stats& other) {
    static_assert(sizeof(Stats) % sizeof(std::uint64_t) == 0);
    auto* to = reinterpret_cast<std::uint64_t*>(this);
    const auto* from = reinterpret_cast<const std::uint64_t*>(&other);
    for (std::size_t i = 0; i < sizeof(Stats) / sizeof(std::uint64_t); ++i) to[i] += from[i];
  }
};

}  // namespace iris::sim
