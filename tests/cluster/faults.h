// Faults: the faults of a real cluster, one after another: SIGKILL, SIGSTOP, partitions, orderly
// restarts. Each run() brings all of them back and waits until the cluster
// serves again. Main thread only. Owns the relay between the nodes.
#pragma once

#include <array>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "tests/cluster/nodes.h"
#include "tests/cluster/relay.h"

namespace iris::test {

class Faults {
 public:
  enum class Kind { kill, pause, isolate, one_way, restart, kill_all };
  static constexpr std::size_t kinds = 6;

  // The flags with which peers reach a node through the relay.
  [[nodiscard]] static std::vector<std::string> flags();
  // REQUIRES: the nodes have these flags and are not started.
  Faults(Nodes& nodes, std::uint64_t seed);

  void start_all();
  // One fault: each kind once in a random order, then the next round of them. False: the cluster
  // did not come back within 60 s; says so on stdout.
  [[nodiscard]] bool run();
  [[nodiscard]] std::uint64_t count() const;
  [[nodiscard]] bool all_kinds() const;  // each came at least once
  // True: the partitions held bytes back.
  [[nodiscard]] bool partitions_held() const { return relay_.held() > 0; }
  [[nodiscard]] std::string summary() const;

 private:
  void start(std::size_t node);
  void hold(Milliseconds shortest, Milliseconds longest);
  [[nodiscard]] bool recovered();
  // Different ones, at random, fewer than half.
  [[nodiscard]] std::vector<std::size_t> victims();
  void do_kill(const std::vector<std::size_t>& nodes);
  void do_pause();
  void do_partition(bool both_ways);
  [[nodiscard]] bool do_restart();

  Nodes& nodes_;
  Relay relay_;
  std::mt19937_64 random_;
  std::vector<Kind> due_;
  std::array<std::uint64_t, kinds> counts_{};
};

}  // namespace iris::test
