// Writes: every command from the call to its outcome: proposed here, forwarded to whoever leads, or
// parked while nobody does; and the commands that other nodes forward to this one.
// Loop thread. Owns the calls. An outcome is told only when it is certain: a command proposed as
// (term, index) exists there only, so another entry applied at that index proves that it never was
// and never will be applied; until then nobody says "failed" (hazards 42, 78, 80).
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

  void submit(const Operation& operation, std::uint64_t deadline_ms, Node::Done done,
              WaitingCall* waiting = nullptr);
  // The call ends now: its caller is gone. The command may still be done. REQUIRES: `waiting` is of
  // a write.
  void abandon(const WaitingCall& waiting);
  // Follows an entry that was just proposed by somebody else in this node (a membership change).
  void follow(raft::EntryId entry, std::uint64_t deadline, Node::Done done);

  // --- From peers.
  void asked(raft::NodeId from, ForwardRequest request);
  void answered(raft::NodeId from, ForwardReply reply);

  // --- From the turn.
  void applied(raft::EntryId entry, const Outcome& outcome);
  void installed(raft::Index index);  // all up to it came by snapshot
  void role_changed();
  void tick();
  void stop();

 private:
  enum class Stage : std::uint8_t { parked, forwarded, proposed, orphaned };
  struct Call {
    Stage stage = Stage::parked;
    Node::Done done;       // empty: a peer asked
    raft::NodeId peer;     // who asked; for a call of our own, to whom it was forwarded
    std::uint64_t id = 0;  // the peer's
    raft::EntryId entry;   // proposed, orphaned
    std::string command;   // parked, forwarded
    WaitingCall* waiting = nullptr;
  };
  using Table = Waiters<Call>;

  void place(Call call, std::uint64_t deadline);
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
  Table::Line parked_;
  Table::Line forwarded_;
  Table::Line proposed_;  // in the latest leadership, by index
  raft::Term proposed_term_;
  // Proposed in an earlier leadership; what became of them is not known yet. By index first.
  std::map<std::pair<raft::Index, raft::Term>, WaiterHandle> orphans_;
  std::size_t waiting_bytes_ = 0;  // of commands parked and forwarded
  raft::NodeId known_leader_;
  raft::Term known_term_;
};

// SetValue and Subscribe: what a node whose disk is nearly full refuses.
[[nodiscard]] bool grows(const Operation& operation);

}  // namespace iris
