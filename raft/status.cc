// What a core tells of itself: the whole status for people, and the questions that hosts ask.
#include "raft/state.h"

namespace iris::raft {

bool Core::State::hears(NodeId id) const {
  if (id == self) return true;
  const Leader* leader = as_leader();
  if (leader == nullptr) return false;
  const auto peer = leader->peers.find(id);
  return peer != leader->peers.end() && !peer->second.leaving && is_active(peer->second);
}

NodeId Core::State::promotable_learner() const {
  const Leader* leader = as_leader();
  if (leader == nullptr) return {};
  for (const auto& [id, peer] : leader->peers) {
    if (is_learner(configuration(), id) && caught_up(peer)) return id;
  }
  return {};
}

std::vector<PeerStatus> Core::State::peers() const {
  std::vector<PeerStatus> result;
  const Leader* leader = as_leader();
  if (leader == nullptr) return result;
  for (const auto& [id, peer] : leader->peers) {
    if (peer.leaving) continue;
    result.push_back({id, peer.match, peer.next, is_active(peer),
                      peer.state == ProgressState::snapshot,
                      is_learner(configuration(), id) && caught_up(peer)});
  }
  return result;
}

CoreStatus Core::State::status() const {
  CoreStatus status;
  status.self = self;
  status.leader = leader_id();
  status.role = role();
  status.term = hard.term;
  status.first = log.first();
  status.last = log.last();
  status.stable = log.stable();
  status.commit = commit;
  status.applied = applied;
  status.log_bytes = log.bytes();
  status.members = configuration();
  status.members_index = members.latest().index;
  status.members_committed_index = members.at(commit).index;
  status.was_member = was_member;
  status.peers = peers();
  status.transfer_target = transfer_target();
  return status;
}

}  // namespace iris::raft
