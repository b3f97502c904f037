// Operators: the people and programs around a cluster: start new hosts and ask for them to be
// admitted (again and again, as main does), remove members, move leadership, change addresses,
// start what was removed once more. One thread. Judges nothing but that calls are answered (Calls
// does). Keeps a cluster able to live: never removes so many that no majority of living folders is
// left.
#pragma once

#include <cstdint>
#include <vector>

#include "tests/sim/calls.h"
#include "tests/sim/nemesis.h"
#include "tests/sim/options.h"
#include "tests/sim/random.h"

namespace iris::sim {

class Operators {
 public:
  Operators(World& world, Calls& calls, Nemesis& nemesis);
  void start();
  // No new changes; hosts that want to join go on asking.
  void stop() { stopped_ = true; }

 private:
  void later();
  void act();
  void count(Fault fault);
  [[nodiscard]] Host* pick_voice();
  void ask_to_join();
  void join();
  void remove(raft::NodeId id);
  void transfer();
  [[nodiscard]] bool everybody_can_be_found() const;
  void move();
  void start_removed();
  void start_stray();
  [[nodiscard]] bool may_bring_back(const Host& host, raft::NodeId id) const;

  World& world_;
  Calls& calls_;
  Nemesis& nemesis_;
  Random random_;
  std::vector<Fault> enabled_;
  std::vector<bool> asking_;  // by host: a join call is open
  bool stopped_ = false;
};

}  // namespace iris::sim
