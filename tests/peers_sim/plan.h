// Plan: what one seed draws: hosts, the network's weather, faults, sizes and limits. Each seed has
// some faults and not others, so that each fault also meets a world that is quiet otherwise.
// Plain values.
#pragma once

#include <cstdint>

#include "src/peers/peers.h"
#include "tests/peers_sim/network.h"

namespace iris::peers_sim {

struct Plan {
  std::uint64_t seed = 0;
  std::size_t hosts = 3;
  Weather weather;
  PeersOptions peers;  // of each host, but for its id

  std::uint64_t faults_us = 10'000'000;   // how long there are faults
  std::uint64_t message_every_us = 5000;  // of all hosts together, on average
  std::size_t message_bytes_max = 300;
  std::uint64_t large_messages = 0;  // per million, of up to 1 MiB

  // Microseconds between two faults of a kind, on average; 0: there are none.
  std::uint64_t blocks_us = 0;  // a link, one way or both, for up to block_us_max
  std::uint64_t block_us_max = 8'000'000;
  std::uint64_t crashes_us = 0;  // the process is killed, or the machine loses its power
  std::uint64_t pauses_us = 0;   // the process stands still, as after SIGSTOP
};

// The streams of random numbers of a seed: a change in one does not shift the others.
enum class Stream : std::uint64_t { plan, network, faults, work, hosts };

[[nodiscard]] Plan draw_plan(std::uint64_t seed);
// The same with fewer and smaller messages, for hosts that do more with each.
[[nodiscard]] Plan draw_node_plan(std::uint64_t seed);

}  // namespace iris::peers_sim
