// Transfer of leadership (thesis 3.10) as the leader sees it. election.cc has the target's side.
#include <algorithm>
#include <tuple>
#include <utility>

#include "raft/state.h"

namespace iris::raft {
namespace {

constexpr std::uint32_t quiet_heartbeats = 3;

}  // namespace

Result<NodeId> Core::State::transfer(NodeId target, std::vector<NodeId> unreachable) {
  Leader* leader = as_leader();
  if (leader == nullptr) return fail(Errc::not_leader, "this node does not lead");
  if (leader->transfer) {
    if (target == NodeId{} || target == leader->transfer->target) return leader->transfer->target;
    return fail(Errc::busy, "leadership is being handed over to another node already");
  }
  if (target == self) return fail(Errc::refused, "it leads already");
  const bool chosen = target == NodeId{};
  if (chosen) {
    target = best_successor(*leader, unreachable);
    if (target == NodeId{}) {
      return fail(Errc::refused,
                  "no other voter is connected and was heard within an election timeout");
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
  leader->transfer = Leader::Transfer{target, chosen, std::move(unreachable)};
  push_transfer(*leader);
  return target;
}

NodeId Core::State::transfer_target() const {
  const Leader* leader = as_leader();
  return leader != nullptr && leader->transfer ? leader->transfer->target : NodeId{};
}

// A voter that answers heartbeats is heard once in each of their intervals, however far away it is.
bool Core::State::is_quiet(const Progress& peer) const {
  return peer.silent_ticks >= quiet_heartbeats * options.heartbeat_ticks;
}

// The voter that takes over soonest: one that is heard rather than one that has fallen quiet, then
// the one with most of the log, then the one heard last. 0: none is alive.
NodeId Core::State::best_successor(const Leader& leader,
                                   const std::vector<NodeId>& passed_over) const {
  const auto rank = [this](const Progress& peer) {
    return std::tuple(is_quiet(peer) ? 0 : 1, peer.match, ~peer.silent_ticks);
  };
  NodeId best;
  const Progress* of_best = nullptr;
  for (const Member& voter : configuration().voters) {
    const auto peer = leader.peers.find(voter.id);
    if (peer == leader.peers.end() || !is_active(peer->second)) continue;
    if (std::find(passed_over.begin(), passed_over.end(), voter.id) != passed_over.end()) continue;
    if (of_best != nullptr && rank(peer->second) <= rank(*of_best)) continue;
    best = voter.id;
    of_best = &peer->second;
  }
  return best;
}

void Core::State::tick_transfer(Leader& leader) {
  if (leader.transfer) {
    // Thesis 3.10: a transfer ends after an election timeout, whether or not the target took over.
    if (++leader.transfer->ticks >= options.election_ticks) {
      leader.transfer.reset();
    } else {
      turn_to_next_successor(leader);
    }
    return;
  }
  // A leader whose disk hangs applies nothing, and the voters that hear it elect no other (hazard
  // 104).
  if (options.disk_stall_ticks == 0 || stalled_ticks < options.disk_stall_ticks) return;
  const NodeId successor = best_successor(leader, {});
  if (successor != NodeId{}) leader.transfer = Leader::Transfer{successor, true, {}};
}

// A target may have died just before it was chosen, and an election timeout spent on it would be
// one without writes. Should it take over after all, then in a term of its own, as any candidate.
void Core::State::turn_to_next_successor(Leader& leader) {
  Leader::Transfer& transfer = *leader.transfer;
  const auto target = leader.peers.find(transfer.target);
  if (!transfer.chosen || (target != leader.peers.end() && !is_quiet(target->second))) return;
  transfer.passed_over.push_back(transfer.target);
  const NodeId next = best_successor(leader, transfer.passed_over);
  if (next == NodeId{} || is_quiet(leader.peers.at(next))) {
    transfer.passed_over.pop_back();
    return;
  }
  transfer.target = next;
  push_transfer(leader);
}

// Thesis 3.10: the target gets TimeoutNow once it has the whole log, and again with each round of
// heartbeats, as the message may be lost.
void Core::State::push_transfer(Leader& leader) {
  if (!leader.transfer || leader.peers.at(leader.transfer->target).match != log.last()) return;
  send(leader.transfer->target, TimeoutNow{});
}

}  // namespace iris::raft
