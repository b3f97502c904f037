// Node: the host of one core. Feeds it, flushes its output, keeps those who wait for something.
// Loop thread only; the simulator runs the very same code. Owns the core and the waiters; borrows
// store and transport. Knows no Asio, gRPC, RocksDB, OpenSSL; its time is tick().
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "raft/core.h"
#include "src/machine/machine.h"
#include "src/node/transport.h"
#include "src/node/waiting_call.h"
#include "store/store.h"

namespace iris {

struct NodeOptions {
  raft::Options raft;
  std::uint32_t tick_ms = 10;             // what one tick() stands for
  std::string address;                    // own raft address as others should dial it
  std::size_t log_bytes_max = 64u << 20;  // in-memory log; above it the log is trimmed
  std::uint64_t log_entries_max = 200'000;
  std::size_t waiters_max = 100'000;  // calls that wait for something; more: Errc::limit
  std::size_t snapshot_chunk_bytes = 256u << 10;
  std::size_t snapshot_window_bytes = 2u << 20;
  // Of all transfers together, so that a leader which sends one still has time for its clients.
  std::uint64_t snapshot_bytes_per_second = 64u << 20;
  // Of commands kept for another try: calls that wait for a leader or were forwarded. More:
  // Errc::limit.
  std::size_t waiting_bytes_max = 64u << 20;
  // Of committed commands the data lane has not applied yet. Past it a leader proposes no more, and
  // a follower acknowledges nothing but what it has applied.
  std::size_t unapplied_bytes_max = 128u << 20;
  // Free bytes of the file system below which growth (SetValue, Subscribe) is refused with
  // Errc::limit. Removals and reads go on. Taken again once an eighth more is free, for a second.
  // 0: never.
  std::uint64_t disk_reserve_bytes = 256u << 20;
  std::uint64_t cluster_seed = 0;  // where bootstrap() takes a cluster id from
  // Random, new at every start: ids of requests to peers begin there, so that an answer meant for a
  // former life of this node is never taken for one of this (hazards 74, 108).
  std::uint64_t life_seed = 0;
};

// What the host of a Node gives it besides store and transport.
struct NodeHooks {
  // Called once per turn in which something happened: call flush() soon, once.
  std::function<void()> schedule_flush;
  // Applied in commit order, on the loop; `entry` is a command, `outcome` what it did.
  std::function<void(const raft::EntryPtr& entry, const Outcome& outcome)> on_applied;
  // The state up to `index` came by snapshot: what was between was never seen by on_applied.
  std::function<void(raft::Index index)> on_installed;
  // Entries up to `floor` are no longer in the log: core().entry() does not have them.
  std::function<void(raft::Index floor)> on_trimmed;
  // After which entry the log is still needed here, if at all; asked before each trim. Kept up to a
  // multiple of the log's limits.
  std::function<std::optional<raft::Index>()> log_kept;
  // A node (maybe this one's peer) told which sessions it serves; expiry is the leader's business.
  std::function<void(const SessionsServed& served)> on_sessions_served;
  // Stop this process: own disk refused or lies (clean = false), or this node was removed (true).
  std::function<void(bool clean, Error why)> on_halt;
};

struct NodeStatus {
  raft::CoreStatus core;
  raft::ClusterId cluster;
  std::string address;
  std::size_t waiters = 0;
  std::size_t read_rounds = 0;  // asked for, or waiting until what they were granted is applied
  store::DiskUse disk;
  bool disk_low = false;  // growth is refused (NodeOptions::disk_reserve_bytes)
};

enum class Consistency { linearizable, stale };

class Node {
 public:
  using Done = std::function<void(Result<Outcome>)>;
  using AdminDone = std::function<void(Result<raft::NodeId>)>;

  // REQUIRES: store not started yet; all references outlive the node.
  Node(NodeOptions options, store::Store& store, Transport& transport, NodeHooks hooks);
  ~Node();
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;

  // Takes what the store recovered and begins to take part.
  void start();
  // First node of a new cluster. REQUIRES: !initialized().
  void bootstrap();
  // Belongs to a cluster (has a configuration, or was adopted by one).
  [[nodiscard]] bool initialized() const;
  // A committed configuration contains this node, or did. Until then all others may know nothing of
  // it (the entry that admitted it was lost with its leader): it must go on asking to join, and
  // does not end if it is told that it is no member.
  [[nodiscard]] bool admitted() const;

  void tick();
  void flush();
  void receive(PeerMessage message);
  // A peer's first words; a node that belongs to no cluster is adopted by the one that admits it.
  // Errc::refused with a text naming both sides where clusters differ.
  Status greet(const PeerIdentity& peer);

  // --- Calls of clients. Each `done` is called exactly once, on the loop, never from inside the
  // call. deadline_ms counts from now. Errors: unavailable (not proposed), unknown_outcome, limit.
  // `waiting` says where the call waits, for abandon(); it outlives the call.
  void submit(const Operation& operation, std::uint64_t deadline_ms, Done done,
              WaitingCall* waiting = nullptr);
  // When `done` says ok, the store's views contain all that this read must see. For stale:
  // immediately, once `min_revision` is applied here.
  void read(Consistency consistency, std::uint64_t min_revision, std::uint64_t deadline_ms,
            std::function<void(Status)> done, WaitingCall* waiting = nullptr);
  // Nobody wants the answer any more: `done` of the call is called soon, with an error, and what
  // the call held is free. A command that was proposed or forwarded may still be done. Does nothing
  // where the call does not wait in the node.
  void abandon(WaitingCall& waiting);
  // A membership change, transfer or join, wherever the leader is. id and from are filled in here.
  void admin(AdminRequest request, std::uint64_t deadline_ms, AdminDone done);

  // Hands leadership over if this node leads (at stop); `done` when it does not lead any more or
  // gave up.
  void resign(std::uint64_t deadline_ms, std::function<void()> done);
  // Fails every waiter before it returns: not proposed -> unavailable, proposed -> unknown_outcome.
  // Raft goes on until the node is destroyed. REQUIRES: not from inside a `done`.
  void stop();

  [[nodiscard]] NodeStatus status() const;
  [[nodiscard]] const raft::Core& core() const;
  [[nodiscard]] raft::Index applied() const;  // on_applied was called up to here
  [[nodiscard]] raft::Index floor() const;    // core().entry() has what is after it

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace iris
