// NodeProgram: a production node (core, host, machine) on a production raft port, over a model
// store. Its process ticks by the simulated time.
// One thread. Owns node, raft port and store; the disk is its host's and outlives it.
#pragma once

#include <functional>
#include <memory>

#include "src/node/node.h"
#include "src/peers/peers.h"
#include "tests/peers_sim/world.h"
#include "tests/sim/model_store.h"

namespace iris::peers_sim {

class NodeProgram : public Program {
 public:
  using OnApplied = std::function<void(const raft::EntryPtr& entry)>;
  using OnHalt = std::function<void(const Error& why)>;

  NodeProgram(Host& host, const World& world, sim::ModelDisk& disk, OnApplied on_applied,
              OnHalt on_halt);
  ~NodeProgram() override;

  [[nodiscard]] Node& node() { return *node_; }
  [[nodiscard]] Peers& peers() { return *peers_; }
  [[nodiscard]] bool leads() const { return node_->core().role() == raft::Role::leader; }

 private:
  void tick_later();
  [[nodiscard]] NodeHooks hooks(OnApplied on_applied, OnHalt on_halt);

  static constexpr std::uint64_t tick_ms = 10;

  Host& host_;
  sim::ModelDisk& disk_;
  std::unique_ptr<sim::ModelStore> store_;
  std::unique_ptr<Peers> peers_;
  std::unique_ptr<Node> node_;
};

}  // namespace iris::peers_sim
