// Operators: the people and programs around a cluster. They start new hosts and ask for their
// admission (repeatedly, as the server does), remove members, transfer leadership, change
// addresses, and start removed nodes again. They never remove so many members that no majority of
// existing folders is left. One thread. Calls judges the answers.
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
