// Watch: judges one node after each of its events against what the ghost knows. Keeps its own copy
// of the node's log (shared entries) with a hash of every prefix, so that an event costs what it
// changed, not what the log holds.
// One thread. Owns no node. Ends the run at the first contradiction (invariants MT ES VD LM LAO TB
// AD CID LC SMS QF CF SN RP WP of hazards.md).
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

class Watch {
 public:
  Watch(World& world, Host& host) : world_(world), host_(host) {}

  // A process has begun on the host's disk.
  void started();
  // Something happened in it.
  void check();
  // It says something to the world.
  void check_send(raft::NodeId to, const PeerBody& body) const;
  void applied(const raft::EntryPtr& entry, const Outcome& outcome);
  void installed(raft::Index index);
  // Everything, also what costs much.
  void check_all();

  [[nodiscard]] raft::Index last() const { return {base_.index.value + tail_.size()}; }
  // The entry id at `index`, if this node's log (or its floor) says it.
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
  raft::Term leading_;  // of which it was judged a leader; 0: leads not
  raft::Index commit_;
  raft::Index applied_;      // by on_applied and on_installed
  raft::NodeId folder_;      // whose
  raft::HardState durable_;  // is this, over all its lives
  const DataState* data_ = nullptr;
  std::uint64_t unchecked_ = 0;
};

}  // namespace iris::sim
