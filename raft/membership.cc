// Who belongs: changes by joint consensus (thesis 4.3), what becomes of those who leave, and the
// handing over of leadership (thesis 3.10).
#include <algorithm>
#include <memory>
#include <string>
#include <utility>

#include "raft/state.h"

namespace iris::raft {

void Core::State::bootstrap(Members first) {
  CHECK(log.last() == Index{} && hard == HardState{} && members.latest().members == Members{});
  CHECK(well_formed(first) && !is_joint(first) && find_member(first.voters, self) != nullptr);
  hard.term = hard.led = Term{1};  // nobody ever leads it: the first election is of term 2
  log.append(std::make_shared<const Entry>(Entry{{Term{1}, Index{1}}, first}));
  members_appended(Index{1}, first);
}

Result<EntryId> Core::State::change(const MemberChange& change, bool force) {
  Leader* leader = as_leader();
  if (leader == nullptr) return fail(Errc::not_leader, "this node does not lead");
  if (leader->transfer) return fail(Errc::busy, "leadership is being handed over");
  if (members.latest().index > commit || is_joint(configuration())) {
    return fail(Errc::busy, "a membership change is under way");
  }
  // Thesis 4.1 (erratum): before it, two leaders could change from different configurations.
  if (!committed_own_term()) {
    return fail(Errc::busy, "this leader has not committed an entry of its term yet");
  }
  Result<Members> next = changed(configuration(), change);
  if (!next) return unexpected(next.error());
  if (const auto* promote = std::get_if<Promote>(&change)) {
    if (Status allowed = may_promote(*leader, promote->id); !allowed) {
      return unexpected(allowed.error());
    }
  }
  if (!force && is_joint(next.value())) {
    if (Status allowed = may_decide_alone(*leader, without_outgoing(next.value())); !allowed) {
      return unexpected(allowed.error());
    }
  }
  return append_own(std::move(next.value()));
}

// Hazard 57: a configuration without a live majority could never be left again.
Status Core::State::may_decide_alone(const Leader& leader, const Members& next) const {
  if (!hears_quorum(leader, next)) {
    return fail(Errc::refused,
                "after it no majority of the voters would be alive: too many of them were not "
                "heard within an election timeout");
  }
  // A new leader gives everybody that time to be heard: that is no sign of life yet.
  const bool heard = quorum_tally(next, [&](NodeId id) -> std::optional<bool> {
                       if (id == self) return true;
                       const auto peer = leader.peers.find(id);
                       return peer != leader.peers.end() && (peer->second.match != Index{} ||
                                                             peer->second.round_acked != Round{});
                     }) == Tally::won;
  if (heard) return Unit{};
  return fail(Errc::busy, "this leader is new and waits to hear who is alive");
}

// Thesis 4.2.1: a newcomer that lags would hold up commitment as soon as its vote counts.
Status Core::State::may_promote(const Leader& leader, NodeId id) const {
  const Progress& peer = leader.peers.at(id);
  if (caught_up(peer)) return Unit{};
  if (peer.silent_ticks >= options.election_ticks) {
    return fail(Errc::refused, "it was not heard within an election timeout");
  }
  return fail(Errc::refused, "it has not caught up: it is " +
                                 std::to_string(log.last().value - peer.match.value) +
                                 " entries behind");
}

bool Core::State::caught_up(const Progress& peer) const {
  const bool in_time =
      peer.match >= peer.catch_up_target || peer.catch_up_ticks < options.election_ticks;
  return peer.pace == Pace::replicate && peer.silent_ticks < options.election_ticks &&
         peer.keeps_up && in_time &&
         log.last().value - peer.match.value <= options.promote_lag_entries_max;
}

// Thesis 4.1: a configuration is in force from the moment it is in the log, committed or not.
void Core::State::members_appended(Index index, const Members& next) {
  members.append(index, next);
  out.members_changed = true;
  if (Leader* leader = as_leader()) align_peers(*leader);
}

// One Progress for each member but this node; those who are none any more leave.
void Core::State::align_peers(Leader& leader) const {
  for (auto& [id, peer] : leader.peers) {
    if (!is_member(configuration(), id)) peer.leaving = true;
  }
  for (const Member& member : all_members(configuration())) {
    if (member.id == self) continue;
    Progress& peer = leader.peers[member.id];
    if (peer.next == Index{} || peer.leaving) {
      peer = Progress{};
      peer.next = log.last().next();
      peer.catch_up_target = log.last();
    }
  }
  leader.work = true;
}

// Those after `before` are committed now.
void Core::State::on_configurations_committed(Index before) {
  bool any = false;
  for (const MembersHistory::Version& version : members.versions()) {
    // Without voters: there has never been one.
    if (version.index <= before || version.index > commit || version.members.voters.empty()) {
      continue;
    }
    any = true;
    if (is_member(version.members, self)) was_member = true;
  }
  auto* follower = std::get_if<Follower>(&role_data);
  if (any && follower != nullptr && !is_member(members.at(commit).members, follower->leader)) {
    follower->leader = {};  // it leads no longer, whether or not it has heard so (hazard 18)
  }
}

// The latest configuration is committed and does without this node, which was a member before: a
// newcomer also reads of configurations without it, from before its time. So does one that was
// removed and admitted again, and therefore it must have come as far as its leader; who has not
// heard one in this life asks (ask_whether_member).
void Core::State::halt_if_removed() {
  const bool is_as_far_as_its_leader = commit_heard != Index{} && commit >= commit_heard;
  if (!was_member || role() == Role::leader || !is_as_far_as_its_leader) return;
  const MembersHistory::Version& latest = members.latest();
  if (latest.index > commit || is_member(latest.members, self)) return;
  halt(Errc::refused,
       "this node was removed from the cluster (configuration of entry " +
           std::to_string(latest.index.value) + ")",
       true);
}

// Thesis 4.3: once the joint configuration is committed, the leader proposes to leave it.
void Core::State::continue_change() {
  if (role() != Role::leader || !is_joint(configuration())) return;
  if (members.latest().index <= commit) append_own(without_outgoing(configuration()));
}

// Thesis 4.2.2: a leader outside the configuration leads until that configuration is committed.
bool Core::State::is_removed() const {
  return role() == Role::leader && members.latest().index <= commit &&
         !is_member(configuration(), self);
}

void Core::State::resign_removed(Leader& leader) {
  const NodeId successor = best_successor(leader);
  if (successor != NodeId{}) send(successor, TimeoutNow{});
  halt(Errc::refused,
       "this node was removed from the cluster (configuration of entry " +
           std::to_string(members.latest().index.value) + ")",
       true);
}

// Who left gets the log until it had time to learn of it; after that only an answer to its asking.
void Core::State::tick_leaving(Leader& leader) {
  if (members.latest().index > commit) return;  // it may come back yet
  for (auto& [id, peer] : leader.peers) {
    if (peer.leaving) ++peer.leaving_ticks;
  }
  std::erase_if(leader.peers, [this](const auto& entry) {
    const auto& [id, peer] = entry;
    const bool is_over = peer.leaving_ticks >= 2 * options.election_ticks;
    if (is_over) send(id, Dismissed{members.latest().index, false, log.id_at(commit)});
    return is_over;
  });
}

// Somebody of no configuration asks: tell it, and it will not ask again (hazard 54).
void Core::State::dismiss_stranger(NodeId from, Term seen) {
  const MembersHistory::Version& committed = members.at(commit);
  if (committed.members.voters.empty() || is_member(committed.members, from) ||
      is_member(configuration(), from)) {
    return;
  }
  const bool certain =
      (role() == Role::leader && committed_own_term()) || log.id_at(commit).term > seen;
  send(from, Dismissed{committed.index, certain, log.id_at(commit)});
}

// This node's latest configuration is in force no longer for who sent this. Either a later one is
// committed, or this one never will be: something else is committed in its place, or before it what
// a later leader wrote, which has all that was ever committed (paper 5.4.3). Whoever was admitted
// by such an entry waits for a leader that knows nothing of it.
bool Core::State::outdates_own(const Dismissed& dismissed) const {
  const Index own = members.latest().index;
  if (dismissed.members_index > own) return true;
  if (own <= commit) return false;  // committed
  return dismissed.commit.index >= own || dismissed.commit.term > log.id_at(own).term;
}

void Core::State::on_dismissed(Term term, const Dismissed& dismissed) {
  const Index own = members.latest().index;
  if (own == Index{}) return;
  const bool is_later = outdates_own(dismissed);
  const bool believed =
      is_member(configuration(), self)
          ? is_later
          : dismissed.certain && term >= hard.led && (is_later || dismissed.members_index == own);
  if (!believed) return;
  halt(Errc::refused,
       "this node was removed from the cluster (a member says so, by its configuration of entry " +
           std::to_string(dismissed.members_index.value) + ")",
       true);
}

// For a learner, or one that was stopped after its own removal was appended.
void Core::State::ask_whether_member() {
  // In the term that it was led in: of a later one, which it knows from who does not lead or from
  // its own campaign, the first commit would prove nothing any more to who is certain only by that
  // (dismiss_stranger).
  for (const Member& voter : configuration().voters) {
    out.send.push_back({self, voter.id, hard.led, HeartbeatReply{}});
  }
}

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
  if (find_member(configuration().voters, target) == nullptr) {
    return fail(Errc::not_found, "it is not a voter of this cluster");
  }
  if (leader->peers.at(target).silent_ticks >= options.election_ticks) {
    return fail(Errc::refused, "it was not heard within an election timeout");
  }
  leader->transfer = Leader::Transfer{target};
  push_transfer(*leader);
  return target;
}

// The most up-to-date voter that is alive; 0 where there is none.
NodeId Core::State::best_successor(const Leader& leader) const {
  NodeId best;
  Index furthest;
  for (const Member& voter : configuration().voters) {
    const auto peer = leader.peers.find(voter.id);
    if (peer == leader.peers.end() || peer->second.silent_ticks >= options.election_ticks) continue;
    if (best == NodeId{} || peer->second.match > furthest) {
      best = voter.id;
      furthest = peer->second.match;
    }
  }
  return best;
}

void Core::State::tick_transfer(Leader& leader) const {
  if (leader.transfer) {
    // Thesis 3.10: a target that does not take over in time is given up.
    if (++leader.transfer->ticks >= options.election_ticks) leader.transfer.reset();
    return;
  }
  // A leader whose disk hangs can neither apply nor be replaced by those who hear it (hazard 104).
  if (options.disk_stall_ticks == 0 || stalled_ticks < options.disk_stall_ticks) return;
  const NodeId successor = best_successor(leader);
  if (successor != NodeId{}) leader.transfer = Leader::Transfer{successor};
}

// Thesis 3.10: the target is told once it has the whole log; and again, should that get lost.
void Core::State::push_transfer(Leader& leader) {
  if (!leader.transfer || leader.peers.at(leader.transfer->target).match != log.last()) return;
  send(leader.transfer->target, TimeoutNow{});
}

}  // namespace iris::raft
