// Host: one machine of the simulated world: an address, a folder, and the process that runs a node
// on it. A process may crash (also between two of its effects), pause, or end by itself.
// One thread. Owns the disk, the node and everything that the node borrows. The nemesis decides the
// faults.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "src/node/node.h"
#include "tests/sim/model_store.h"
#include "tests/sim/network.h"
#include "tests/sim/node_judge.h"
#include "tests/sim/rocks_disk.h"
#include "tests/sim/serving.h"
#include "tests/sim/twin_store.h"

namespace iris::sim {

class Host {
 public:
  enum class State {
    off,  // not started, or crashed
    up,
    paused,   // every input waits
    removed,  // from the cluster: the process has ended for good
    failed,   // its disk refused an operation: the process has ended
  };

  Host(World& world, std::size_t number);
  ~Host();
  Host(const Host&) = delete;
  Host& operator=(const Host&) = delete;

  [[nodiscard]] World& world() { return world_; }
  [[nodiscard]] std::size_t number() const { return number_; }
  [[nodiscard]] int tag() const { return static_cast<int>(number_); }
  [[nodiscard]] State state() const { return state_; }
  [[nodiscard]] bool runs() const { return state_ == State::up || state_ == State::paused; }
  [[nodiscard]] const std::string& address() const { return address_; }
  [[nodiscard]] ModelDisk& disk() { return *disk_; }
  [[nodiscard]] const ModelDisk& disk() const { return *disk_; }
  [[nodiscard]] raft::NodeId id() const { return disk_->self(); }
  // Counts the processes that ran here; a process is named by host and life.
  [[nodiscard]] std::uint64_t life() const { return life_; }
  // REQUIRES: runs()
  [[nodiscard]] Node& node();
  [[nodiscard]] const Node& node() const;
  [[nodiscard]] store::Store& store();
  [[nodiscard]] SimTransport& transport();
  // The part that serves Listen streams; nullptr in a run without subscribers.
  [[nodiscard]] Serving* serving() { return serving_.get(); }
  [[nodiscard]] NodeJudge& node_judge() { return judge_; }
  [[nodiscard]] const NodeJudge& node_judge() const { return judge_; }
  [[nodiscard]] bool leads() const;
  // The latest configuration of the node, or of the folder while no process runs, and the index of
  // its entry.
  [[nodiscard]] std::pair<raft::Index, raft::Members> latest_members() const;
  // The index of the entry that made this configuration; where that entry can never be committed,
  // the one of the committed configuration before it. REQUIRES: runs()
  [[nodiscard]] raft::Index decided_members_index() const;
  // For how many microseconds of this life it was paused.
  [[nodiscard]] std::uint64_t paused_us() const;

  // --- The process.
  // REQUIRES: !runs()
  void start();
  // As start(), with the option to bootstrap, which later processes keep until the folder is lost.
  void start_as_first();
  // As if this configuration had been its first entry. REQUIRES: never started.
  void preload(raft::ClusterId cluster, const raft::EntryPtr& first);
  // REQUIRES: runs()
  void crash(ModelDisk::Crash how);
  void crash_after_effects(std::uint64_t effects, ModelDisk::Crash how);
  void disarm();
  void pause();
  void resume();
  // The feature level of the build that is installed here; from the next start on.
  [[nodiscard]] raft::Level build() const { return build_; }
  void install(raft::Level build) { build_ = build; }
  // What the node says of itself.
  [[nodiscard]] PeerIdentity identity() const;
  // A tick lasts this many thousandths of its nominal time.
  void set_tick_rate(std::uint64_t per_mille) { tick_per_mille_ = per_mille; }

  // --- The folder. REQUIRES: !runs()
  // A new and empty one; the world keeps the old one.
  void wipe();
  // The lost folder of this node; the world keeps the present one. REQUIRES: it was lost here.
  void bring_back(raft::NodeId id);
  [[nodiscard]] bool was_here(raft::NodeId id) const { return id.value / 100 == number_ + 1; }
  void move_to(std::string address);
  // The disk refused an operation, or was told to: the process may end because of it.
  void set_may_fail() { may_fail_ = true; }
  // Its data was made to differ (odd_one.h): it must end, and may be told that it is odd. Until its
  // folder is wiped.
  void set_planted() { planted_ = true; }
  [[nodiscard]] bool planted() const { return planted_; }

  // Runs `fn` in the process: now, or when the pause ends; not at all where no process runs. Then
  // judges the node.
  void enter(std::function<void()> fn);
  // The same for something that belongs to process `life` alone.
  void enter_life(std::uint64_t life, std::function<void()> fn) {
    if (life == life_) enter(std::move(fn));
  }
  // Before each effect that others can see. False: the process died before it.
  bool effect();
  [[nodiscard]] bool doomed() const { return doomed_; }
  // The process has asked to end, and does so with the present event.
  [[nodiscard]] bool ends() const { return ending_.has_value(); }

  // A peer has dialled this host and says its id.
  void greet(const PeerIdentity& from, std::uint64_t from_life);
  // That life of that node has a connection to this one.
  [[nodiscard]] bool has_admitted(raft::NodeId node, std::uint64_t life) const;
  // A message reached this machine.
  void deliver(const PeerIdentity& from, std::uint64_t from_life, PeerMessage message);

 private:
  struct Greeted {
    std::uint64_t life = 0;
    std::uint64_t at_us = 0;
    bool accepted = false;
  };

  void make_store();
  void make_node();
  void tick();
  void tick_later();
  void judge();
  void end(State state);
  [[nodiscard]] NodeHooks make_hooks();
  void halted(bool clean, const Error& why);
  bool admits(const PeerIdentity& from, std::uint64_t from_life);

  World& world_;
  std::size_t number_;
  std::string address_;
  std::unique_ptr<ModelDisk> disk_;
  std::uint64_t disks_ = 0;  // made here so far
  State state_ = State::off;
  std::uint64_t life_ = 0;
  std::unique_ptr<RocksDisk> rocks_;  // in the tier of the production store; then the twin runs
  std::map<std::uint64_t, std::unique_ptr<RocksDisk>> lost_rocks_;  // of folders that were wiped
  std::unique_ptr<ModelStore> store_;
  std::unique_ptr<TwinStore> twin_;
  std::unique_ptr<SimTransport> transport_;
  std::unique_ptr<Node> node_;
  std::unique_ptr<Serving> serving_;
  NodeJudge judge_;
  std::vector<std::pair<raft::NodeId, Greeted>> greeted_;  // in this life
  std::uint64_t tick_per_mille_ = 1000;
  bool may_fail_ = false;
  bool planted_ = false;
  bool is_first_ = false;  // bootstraps, until the folder is lost
  raft::Level build_;
  bool outdated_ = false;  // the process ended with the demand for a newer build

  std::deque<std::function<void()>> backlog_;  // while paused
  bool tick_missed_ = false;
  std::uint64_t dial_at_us_ = 0;
  std::uint64_t paused_since_us_ = 0;
  std::uint64_t paused_us_ = 0;

  bool inside_ = false;
  bool doomed_ = false;
  std::uint64_t effects_left_ = UINT64_MAX;
  ModelDisk::Crash crash_;
  std::optional<State> ending_;  // the state that the process asked to end with
};

}  // namespace iris::sim
