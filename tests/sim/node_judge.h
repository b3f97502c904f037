// NodeJudge: judges one node after each of its events against the committed history (Ghost). It
// keeps a copy of the node's log (shared entries) with a hash of every prefix, so that the cost of
// a check grows with the change, not with the log. One thread. Owns no node. Ends the run at the
// first contradiction (invariants MT ES VD LM LAO TB AD CID LC SMS QF CF SN RP WP).
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "raft/core.h"
#include "src/node/peer_messages.h"
#include "tests/sim/ghost.h"

namespace iris::sim {

class Host;
class World;

class NodeJudge {
 public:
  NodeJudge(World& world, Host& host) : world_(world), host_(host) {}

  // A process has begun on the host's disk.
  void started();
  // After each event of the process.
  void check();
  // Before a message leaves the process.
  void check_send(raft::NodeId to, const PeerBody& body) const;
  void applied(const raft::EntryPtr& entry, const Outcome& outcome);
  void installed(raft::Index index);
  // All checks, the expensive ones too.
  void check_all();

  [[nodiscard]] raft::Index last() const { return {base_.index.value + tail_.size()}; }
  // The entry id at `index`, if it is in this node's log or is its floor.
  [[nodiscard]] std::optional<raft::EntryId> id_at(raft::Index index) const;
  [[nodiscard]] raft::Term leading_term() const { return leading_; }

 private:
  struct Seen {
    raft::EntryPtr entry;
    Chain chain = 0;
  };

  [[nodiscard]] std::string who() const;
  [[nodiscard]] Chain chain_at(raft::Index index) const;
  void check_disk();
  void follow_log();
  void rewind(const raft::Core& core);
  void rebase(const raft::Core& core, raft::Index floor);
  void forget_back();
  void append(const raft::EntryPtr& entry);
  void check_members();
  void check_level() const;
  void check_raised(const raft::Members& members) const;
  void check_leader();
  void check_commit();
  void check_quorum(raft::Index index) const;
  void check_raft_message(const raft::Message& message) const;
  void check_acknowledged(const raft::Message& message, raft::Index index) const;

  World& world_;
  Host& host_;

  raft::EntryId base_;  // the log begins after it
  Chain base_chain_ = chain_of_nothing;
  raft::Members base_members_;
  std::deque<Seen> tail_;
  std::vector<std::pair<raft::Index, raft::Members>> configurations_;  // in tail_
  bool members_moved_ = false;

  raft::Term term_;
  raft::Term leading_;  // in which it was judged to lead; 0: none
  raft::Index commit_;
  raft::Index applied_;      // by on_applied and on_installed
  raft::NodeId folder_;      // the node of the folder
  raft::HardState durable_;  // the last durable one of this folder, over all lives of the process
  const DataState* data_ = nullptr;
  std::uint64_t unchecked_ = 0;
};

}  // namespace iris::sim
