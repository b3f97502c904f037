// Writes: every command from the call to its outcome: proposed here, forwarded to the leader, or
// parked while there is none; and the commands that peers forward to this node.
// Loop thread. Owns the calls. An outcome is told only when it is certain. A command proposed as
// (term, index) exists in that place only, so another entry applied at that index proves that the
// command was not and will not be applied; without that proof a call fails as unknown_outcome,
// never as unavailable (hazards 42, 78, 80).
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>

#include "src/node/host.h"
#include "src/node/waiting_call.h"

namespace iris {

class Writes {
 public:
  explicit Writes(NodeHost& host);

  // Node::submit().
  void submit(const Operation& operation, std::uint64_t deadline_ms, Node::Done done,
              WaitingCall* waiting = nullptr);
  // The call ends now: its caller is gone. The command may still be done. REQUIRES: `waiting` is of
  // a write.
  void abandon(const WaitingCall& waiting);
  // Follows an entry that another part of this node has just proposed (a membership change): `done`
  // hears of it as of a command. `deadline` is a tick.
  void follow(raft::EntryId entry, std::uint64_t deadline, Node::Done done);

  // --- From peers.
  void asked(raft::NodeId from, ForwardRequest request);
  void answered(raft::NodeId from, ForwardReply reply);

  // --- From the turn.
  void applied(raft::EntryId entry, const Outcome& outcome);
  void installed(raft::Index index);  // the state up to it came by snapshot
  void role_changed();
  void tick();
  void stop();

 private:
  enum class Stage : std::uint8_t {
    parked,     // waits for a leader
    forwarded,  // to the leader
    proposed,   // here, in the latest leadership of this node
    orphaned,   // here, in an earlier leadership
  };
  struct Call {
    Stage stage = Stage::parked;
    Node::Done done;       // empty: a peer asked
    raft::NodeId peer;     // the peer that asked; of a call of this node, the leader it went to
    std::uint64_t id = 0;  // of the peer's request
    raft::EntryId entry;   // of a proposed or orphaned call
    std::string command;   // of a parked or forwarded call, encoded
    WaitingCall* waiting = nullptr;
  };
  using Table = Waiters<Call>;

  void route(Call call, std::uint64_t deadline);
  void propose(Call call, std::uint64_t deadline);
  WaiterHandle add(Call call, std::uint64_t deadline);
  void keep(Call call, std::uint64_t deadline, raft::NodeId leader);
  void retry_parked();
  void orphan_proposed();
  Call take(WaiterHandle handle);
  void finish(Call call, Result<Outcome> result);
  void resolve(WaiterHandle handle, raft::EntryId entry, const Outcome& outcome);
  [[nodiscard]] Error given_up(const Call& call, const char* parked_text) const;

  NodeHost& host_;
  Table calls_;
  Table::Queue parked_;
  Table::Queue forwarded_;
  Table::Queue proposed_;                                               // by index
  raft::Term proposed_term_;                                            // of the calls in proposed_
  std::map<std::pair<raft::Index, raft::Term>, WaiterHandle> orphans_;  // the orphaned calls
  std::size_t waiting_bytes_ = 0;  // of commands parked and forwarded
  raft::NodeId known_leader_;
  raft::Term known_term_;
};

}  // namespace iris
