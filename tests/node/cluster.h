// Cluster: production nodes (core, host, machine) over model stores and a network in memory.
// Nothing happens by itself: tick() moves time, settle() lets everything happen that was caused so
// far.
// One thread. Owns disks, stores, nodes and the messages on their way. Tests may cut links, hold a
// lane of a store, take messages out or put them back, crash and restart nodes.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "src/node/node.h"
#include "tests/sim/model_store.h"

namespace iris::test {

class Cluster;

struct Packet {
  raft::NodeId from, to;
  PeerBody body;
};

// The Raft message in a packet; nullptr: the packet holds something else.
template <class Body>
const Body* raft_body(const Packet& packet) {
  const auto* message = std::get_if<raft::Message>(&packet.body);
  return message != nullptr ? std::get_if<Body>(&message->body) : nullptr;
}

// For Cluster::keep: all packets of one kind.
template <class Body>
auto keep_all() {
  return [](const Packet& packet) { return std::holds_alternative<Body>(packet.body); };
}

class FakeTransport : public Transport {
 public:
  FakeTransport(Cluster& cluster, raft::NodeId self) : cluster_(cluster), self_(self) {}
  void set_peers(const std::vector<raft::Member>& peers) override { peers_ = peers; }
  void send(raft::NodeId to, PeerBody body) override;
  void probe(const std::string& address, std::function<void(Result<PeerIdentity>)> done) override;
  [[nodiscard]] bool connected(raft::NodeId to) const override { return !broken.contains(to); }
  [[nodiscard]] std::optional<raft::Level> level_of(raft::NodeId to) const override;
  [[nodiscard]] std::size_t queued_bytes(raft::NodeId) const override { return queued; }

  [[nodiscard]] const std::vector<raft::Member>& peers() const { return peers_; }
  [[nodiscard]] bool knows(raft::NodeId id) const;
  std::size_t queued = 0;
  std::set<raft::NodeId> broken;  // peers whose connection is known to be down

 private:
  Cluster& cluster_;
  raft::NodeId self_;
  std::vector<raft::Member> peers_;
};

// One process. crash() ends it; its disk stays.
struct Process {
  std::unique_ptr<FakeTransport> transport;
  std::unique_ptr<sim::ModelStore> store;
  std::unique_ptr<Node> node;
  bool flush_due = false;
  bool paused = false;  // like SIGSTOP: neither ticks nor flushes, messages wait
  bool hold_log = false;
  bool hold_data = false;
  // --- The calls of the hooks.
  std::vector<std::pair<raft::EntryPtr, Outcome>> applied;
  std::vector<raft::Index> installed;
  std::vector<raft::Index> trimmed;
  struct Halt {
    bool clean = false;
    Error why;
  };
  std::optional<Halt> halted;
};

// The answers that a call got: one, in the end.
template <class T>
struct Answer {
  std::vector<Result<T>> got;
  [[nodiscard]] bool pending() const { return got.empty(); }
  [[nodiscard]] bool ok() const { return got.size() == 1 && got.front().has_value(); }
  [[nodiscard]] bool failed(Errc code) const {
    return got.size() == 1 && !got.front().has_value() && got.front().error().code == code;
  }
  [[nodiscard]] std::string text() const {
    return got.size() == 1 && !got.front() ? got.front().error().text : "";
  }
};
using WriteAnswer = std::shared_ptr<Answer<Outcome>>;
using ReadAnswer = std::shared_ptr<Answer<Unit>>;
using AdminAnswer = std::shared_ptr<Answer<raft::NodeId>>;

class Cluster {
 public:
  explicit Cluster(NodeOptions options = small());
  // Short elections, little of everything: 10 ms a tick, 10 ticks an election.
  static NodeOptions small();

  // --- Processes. Node n (1, 2, ...) has id n and address "host-n:1" unless told otherwise.
  Process& add(std::uint64_t id, const std::string& address = "");
  void crash(std::uint64_t id);
  // Its address is free for another node, as when its folder was emptied. REQUIRES: crashed.
  void forget(std::uint64_t id) { addresses_.erase({id}); }
  // `other` is dialled as if it were `address`.
  void alias(const std::string& other, const std::string& address) { aliases_[other] = address; }
  Process& restart(std::uint64_t id, const std::string& address = "");
  // The level of this node's build, from its next start on.
  void set_level(std::uint64_t id, raft::Level level) { levels_[{id}] = level; }
  // Bootstraps node 1, joins nodes 2 to `count`, and waits until all are voters.
  void form(std::uint64_t count);
  [[nodiscard]] Process& at(std::uint64_t id) { return *processes_.at({id}); }
  [[nodiscard]] Node& node(std::uint64_t id) { return *at(id).node; }
  [[nodiscard]] sim::ModelDisk& disk(std::uint64_t id) { return *disks_.at({id}); }
  [[nodiscard]] bool runs(std::uint64_t id) const { return processes_.contains({id}); }

  // --- Time.
  void settle();
  void tick(std::uint64_t ticks = 1);
  // Ticks until `condition` holds, at most `ticks_max` times. False: it never did.
  bool until(const std::function<bool()>& condition, std::uint64_t ticks_max = 2000);
  // The node that leads in the latest term; 0: none.
  [[nodiscard]] std::uint64_t leader() const;
  std::uint64_t wait_for_leader();

  std::optional<raft::Index> log_kept;  // NodeHooks::log_kept of every node

  // --- Network.
  void cut(std::uint64_t from, std::uint64_t to) { cuts_.insert({{from}, {to}}); }
  void heal() { cuts_.clear(); }
  void isolate(std::uint64_t id);
  // Sees each packet before its delivery. True: the packet goes to `kept` instead.
  std::function<bool(const Packet&)> keep;
  std::vector<Packet> kept;
  void deliver_kept();
  std::deque<Packet> wire;
  bool greets = true;        // false: every connection is let in, whoever dials
  bool greet_probes = true;  // false: a node that is probed tells its identity and greets nobody

  // --- Calls. The answers fill in while the cluster settles and ticks.
  WriteAnswer submit(std::uint64_t id, const Operation& operation, std::uint64_t ms = 5000);
  WriteAnswer set(std::uint64_t id, const std::string& key, const std::string& value,
                  std::uint64_t ms = 5000);
  ReadAnswer read(std::uint64_t id, Consistency consistency = Consistency::linearizable,
                  std::uint64_t min_revision = 0, std::uint64_t ms = 5000);
  // `count` writes at the leader, one after another.
  void write(int count, std::size_t bytes = 10);
  AdminAnswer admin(std::uint64_t id, AdminRequest request, std::uint64_t ms = 30000);
  AdminAnswer admin(std::uint64_t id, AdminRequest::Kind kind, std::uint64_t node,
                    std::uint64_t ms = 30000);
  AdminAnswer join(std::uint64_t id, const std::string& address, std::uint64_t ms = 30000);
  AdminAnswer remove(std::uint64_t id, std::uint64_t node);
  AdminAnswer transfer(std::uint64_t id, std::uint64_t to, std::uint64_t ms = 30000);

  // --- The state of a node.
  std::string value(std::uint64_t id, const std::string& key);  // empty: absent
  [[nodiscard]] bool is_voter(std::uint64_t seen_by, std::uint64_t id);
  [[nodiscard]] std::size_t voters(std::uint64_t seen_by);

 private:
  friend class FakeTransport;
  bool step_process(Process& process);
  void deliver(Packet packet);
  [[nodiscard]] bool reachable(raft::NodeId from, raft::NodeId to) const;
  PeerIdentity identity(raft::NodeId id);

  NodeOptions options_;
  std::uint64_t lives_ = 0;
  std::map<raft::NodeId, std::unique_ptr<sim::ModelDisk>> disks_;
  std::map<raft::NodeId, std::unique_ptr<Process>> processes_;
  std::map<raft::NodeId, std::string> addresses_;
  std::map<std::string, std::string> aliases_;
  std::map<raft::NodeId, raft::Level> levels_;
  std::set<std::pair<raft::NodeId, raft::NodeId>> cuts_;
  std::set<std::pair<raft::NodeId, raft::NodeId>> links_;  // the second has greeted the first
  std::deque<std::function<void()>> probes_;
};

}  // namespace iris::test
