// Transfer of leadership (thesis 3.10) as the leader sees it. election.cc has the target's side.
#include "raft/state.h"

namespace iris::raft {

Result<NodeId> Core::State::transfer(NodeId target) {
  Leader* leader = as_leader();
  if (leader == nullptr) return fail(Errc::not_leader, "this node does not lead");
  if (leader->transfer) {
    if (target == NodeId{} || target == leader->transfer->target) return leader->transfer->target;
    return fail(Errc::busy, "leadership is being handed over to another node already");
  }
  if (target == self) return fail(Errc::refused, "it leads already");
  if (target == NodeId{}) {
    target = best_successor(*leader);
    if (target == NodeId{}) {
      return fail(Errc::refused, "no other voter was heard within an election timeout");
    }
  }
  if (is_learner(configuration(), target)) {
    return fail(Errc::refused, "it is a learner, and only a voter can lead");
  }
  if (!contains(configuration().voters, target)) {
    return fail(Errc::not_found, "it is not a voter of this cluster");
  }
  if (!is_active(leader->peers.at(target))) {
    return fail(Errc::refused, "it was not heard within an election timeout");
  }
  leader->transfer = Leader::Transfer{target};
  push_transfer(*leader);
  return target;
}

NodeId Core::State::transfer_target() const {
  const Leader* leader = as_leader();
  return leader != nullptr && leader->transfer ? leader->transfer->target : NodeId{};
}

// The most up-to-date voter that is alive; 0 where there is none.
NodeId Core::State::best_successor(const Leader& leader) const {
  NodeId best;
  Index furthest;
  for (const Member& voter : configuration().voters) {
    const auto peer = leader.peers.find(voter.id);
    if (peer == leader.peers.end() || !is_active(peer->second)) continue;
    if (best == NodeId{} || peer->second.match > furthest) {
      best = voter.id;
      furthest = peer->second.match;
    }
  }
  return best;
}

void Core::State::tick_transfer(Leader& leader) const {
  if (leader.transfer) {
    // Thesis 3.10: a transfer ends after an election timeout, whether or not the target took over.
    if (++leader.transfer->ticks >= options.election_ticks) leader.transfer.reset();
    return;
  }
  // A leader whose disk hangs applies nothing, and the voters that hear it elect no other (hazard
  // 104).
  if (options.disk_stall_ticks == 0 || stalled_ticks < options.disk_stall_ticks) return;
  const NodeId successor = best_successor(leader);
  if (successor != NodeId{}) leader.transfer = Leader::Transfer{successor};
}

// Thesis 3.10: the target gets TimeoutNow once it has the whole log, and again with each round of
// heartbeats, as the message may be lost.
void Core::State::push_transfer(Leader& leader) {
  if (!leader.transfer || leader.peers.at(leader.transfer->target).match != log.last()) return;
  send(leader.transfer->target, TimeoutNow{});
}

}  // namespace iris::raft
