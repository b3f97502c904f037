// Node: the host of one Raft core. It feeds the core, carries out the core's output in turns, and
// keeps the calls that wait for something.
// Loop thread only. Owns the core and the calls; borrows store and transport. Knows no Asio, gRPC,
// RocksDB or OpenSSL, and no clock but tick(): the simulator runs the very same code.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "raft/core.h"
#include "src/machine/feature_level.h"
#include "src/machine/machine.h"
#include "src/node/transport.h"
#include "src/node/waiting_call.h"
#include "store/store.h"

namespace iris {

struct NodeOptions {
  raft::Options raft;
  std::uint32_t tick_ms = 10;  // what one tick() stands for; REQUIRES: > 0
  std::string address;         // own raft address, host:port, as others should dial it
  // The highest level whose meaning this node knows. Another one than the build's is for tests.
  raft::Level level = feature_level;

  // --- The log in memory; it is trimmed above either limit.
  std::size_t log_bytes_max = 64u << 20;
  std::uint64_t log_entries_max = 200'000;

  // --- Limits past which a call is refused with Errc::limit.
  std::size_t waiters_max = 100'000;  // calls that wait for something
  // Of commands that are kept for another try: their calls wait for a leader, or were forwarded.
  std::size_t waiting_bytes_max = 64u << 20;
  // Of committed entries that the data lane has not applied yet. Past it a leader proposes no more,
  // and a follower acknowledges only what it has applied.
  std::size_t unapplied_bytes_max = 128u << 20;
  // Free bytes of the file system below which growth (SetValue, Subscribe) is refused, while
  // removals and reads go on. Growth goes on once an eighth more has been free for a second.
  // 0: never refused.
  std::uint64_t disk_reserve_bytes = 256u << 20;

  // --- Snapshots.
  std::size_t snapshot_chunk_bytes = 256u << 10;  // REQUIRES: > 0
  std::size_t snapshot_window_bytes = 2u << 20;   // unacknowledged, for each receiver
  // Of all transfers together, so that a leader which sends one still has time for its clients.
  std::uint64_t snapshot_bytes_per_second = 64u << 20;  // REQUIRES: > 0

  // --- The check whether all members have the same data (state_check.h).
  std::uint64_t state_check_interval_ms = 600'000;  // 0: this node, as a leader, begins none
  std::size_t state_check_piece_bytes = 2u << 20;   // of rows, read at once; REQUIRES: > 0
  // Of rows, so that the check never takes the disk from the others. A scan alone reads 970 MB/s of
  // rows of 100 bytes and 2,200 of rows of 1,000 (hash_a_store in iris-microbench). Three nodes on
  // two processors that check 110 MB without a pause took 14,500 writes a second in three runs,
  // and 15,200 in three without checks, where single runs differed by 15 %.
  std::uint64_t state_check_bytes_per_second = 64u << 20;  // REQUIRES: > 0

  // --- Random numbers, which are inputs: a Node makes none itself.
  std::uint64_t cluster_seed = 0;  // bootstrap() derives the id of the cluster from it
  // New at every start. Ids of requests to peers begin there, so that an answer to a former life of
  // this node is never taken for one to this (hazards 74, 108).
  std::uint64_t life_seed = 0;
};

// What the owner of a Node gives it besides store and transport. All run on the loop; those that
// are empty are not called.
struct NodeHooks {
  // Asks for one flush() soon; called once for each turn in which something happened. Not empty.
  std::function<void()> schedule_flush;
  // A command was applied; in commit order.
  std::function<void(const raft::EntryPtr& entry, const Outcome& outcome)> on_applied;
  // The state up to `index` came by snapshot: on_applied never saw the entries that it skipped.
  std::function<void(raft::Index index)> on_installed;
  // Entries up to `floor` have left the log: core().entry() does not have them any more.
  std::function<void(raft::Index floor)> on_trimmed;
  // The entry after which the log is still needed here, if any; asked before each trim. The log is
  // kept for it up to a multiple of its limits.
  std::function<std::optional<raft::Index>()> log_kept;
  // A peer told which sessions it serves, or how long those that none serves are silent.
  std::function<void(raft::NodeId from, const SessionsServed& served)> on_sessions_served;
  // The node does nothing any more, and the process should stop: its disk refused or lost a write,
  // or its data is not that of the other members (clean = false); or it was removed from the
  // cluster (true). Called once at most. Not empty.
  std::function<void(bool clean, Error why)> on_halt;
};

// How this node's data stood when it was last compared with that of the other members.
struct StateCheckStatus {
  enum class Result : std::uint8_t {
    none,         // not since the start of this node
    equal,        // as a majority of the members has it
    odd,          // not so: this node stops
    no_majority,  // members differ, and it cannot be told whose data is right
  };
  Result result = Result::none;
  // --- Unless `none`.
  raft::Index index;         // after this entry
  Hash128 hash;              // of the majority; of this node with no_majority
  std::uint64_t age_ms = 0;  // since the answer came
};

// A copy of everything a person may ask about. One question alone has a function of Node.
struct NodeStatus {
  raft::CoreStatus core;
  raft::ClusterId cluster;
  std::string address;
  std::size_t waiters = 0;      // calls that wait for something
  std::size_t read_rounds = 0;  // under way, or granted and not served yet
  store::DiskUse disk;
  bool disk_low = false;  // growth is refused (NodeOptions::disk_reserve_bytes)
  StateCheckStatus state_check;
};

enum class Consistency {
  linearizable,  // sees every write that was acknowledged, by any node, before the read began
  stale          // sees a state that was current once
};

class Node {
 public:
  using Done = std::function<void(Result<Outcome>)>;
  using AdminDone = std::function<void(Result<raft::NodeId>)>;

  // REQUIRES: the store is not started yet; store and transport outlive the node.
  Node(NodeOptions options, store::Store& store, Transport& transport, NodeHooks hooks);
  ~Node();
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;

  // Starts the store, takes what it recovered and begins to take part. Once; bootstrap() and
  // core() come after it.
  void start();
  // Makes this node the first one of a new cluster. REQUIRES: !initialized().
  void bootstrap();
  // This node belongs to a cluster, or is about to: it has a configuration, or a cluster's id.
  [[nodiscard]] bool initialized() const;
  // A committed configuration contains this node, or did. Before that the cluster may have lost the
  // entry that admitted this node, along with its leader: the node must go on asking to join, and
  // does not stop when it is told that it is not a member.
  [[nodiscard]] bool admitted() const;

  void tick();   // NodeOptions::tick_ms have passed
  void flush();  // the turn: carries out what the core wants and gives answers
  void receive(PeerMessage message);
  // The identity of a peer whose connection begins. A node of no cluster remembers it, and is
  // adopted by that peer's cluster once the peer sends Raft messages.
  // Errc::refused, with a text that names both sides, where the clusters differ or the peer claims
  // to be this node.
  Status greet(const PeerIdentity& peer);

  // --- Calls. Each `done` is called exactly once, on the loop, never from inside the call that it
  // answers. deadline_ms counts from now.

  // A client's command. Errc::unavailable (not proposed: safe to retry), unknown_outcome, limit.
  // `waiting` says where the call waits, for abandon(); it outlives the call.
  void submit(const Operation& operation, std::uint64_t deadline_ms, Done done,
              WaitingCall* waiting = nullptr);
  // When `done` says ok, the views of the store contain all that this read must see, and at least
  // `min_revision`. Errc::unavailable, limit.
  void read(Consistency consistency, std::uint64_t min_revision, std::uint64_t deadline_ms,
            std::function<void(Status)> done, WaitingCall* waiting = nullptr);
  // The caller of submit() or read() is gone: `done` is called soon, with an error, and what the
  // call held is free. A command that was proposed or forwarded may still be done. Does nothing
  // where the call does not wait in the node.
  void abandon(WaitingCall& waiting);
  // A membership change, a join or a transfer, whichever node leads; request.id is filled in here.
  // Answered with the subject of the change, or with the new leader. Errors of raft::Core::change()
  // and transfer(); also unavailable (nothing was done), unknown_outcome, limit.
  void admin(AdminRequest request, std::uint64_t deadline_ms, AdminDone done);
  // Transfers leadership away if this node leads (at stop), to a voter that is connected, and to
  // the next one where that falls silent; `done` once it leads no more, or when the transfer
  // failed, of which the log has a line.
  void resign(std::uint64_t deadline_ms, std::function<void()> done);

  // Fails every call before it returns: unavailable where nothing was proposed, else
  // unknown_outcome. Later calls fail as well. Raft goes on until the node is destroyed.
  // REQUIRES: not from inside a `done`.
  void stop();

  // --- Questions.
  [[nodiscard]] NodeStatus status() const;           // for people and tests: copies all of it
  [[nodiscard]] raft::ClusterId cluster() const;     // durable; 0: none yet
  [[nodiscard]] const std::string& address() const;  // NodeOptions::address
  [[nodiscard]] PeerIdentity identity() const;       // what this node says of itself to others
  [[nodiscard]] raft::Level level() const;           // NodeOptions::level
  [[nodiscard]] raft::Level cluster_level() const;   // in force at applied()
  // The lowest level among the members of the latest configuration. Empty: one of them is not
  // connected, so nobody knows. While the cluster is at a level its members all have it, so this is
  // needed only for what must not wait for the cluster to be raised.
  [[nodiscard]] std::optional<raft::Level> members_level() const;
  [[nodiscard]] const raft::Core& core() const;
  [[nodiscard]] raft::Index applied() const;  // on_applied was called up to here
  [[nodiscard]] raft::Index floor() const;    // core().entry() has what is after it

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace iris
