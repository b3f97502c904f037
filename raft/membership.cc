// Changes of membership by joint consensus (thesis 4.3): which are allowed now, their way through
// the log, and the Progress of each member. removal.cc has the members that leave.
#include <algorithm>
#include <memory>
#include <string>
#include <utility>

#include "raft/state.h"

namespace iris::raft {

void Core::State::bootstrap(Members first) {
  CHECK(log.last() == Index{} && hard == HardState{} && members.latest().members == Members{});
  CHECK(well_formed(first) && !is_joint(first) && contains(first.voters, self));
  hard.term = hard.led = Term{1};  // without a leader: the first election is of term 2
  log.append(std::make_shared<const Entry>(Entry{{Term{1}, Index{1}}, first}));
  members_appended(Index{1}, first);
}

bool Core::State::members_settled() const {
  return members.latest().index <= commit && !is_joint(configuration());
}

Result<EntryId> Core::State::change(const MemberChange& change, bool force) {
  Leader* leader = as_leader();
  if (leader == nullptr) return fail(Errc::not_leader, "this node does not lead");
  if (leader->transfer) return fail(Errc::busy, "leadership is being handed over");
  if (!members_settled()) return fail(Errc::busy, "a membership change is under way");
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
  // A new leader gives every member an election timeout to be heard, which is no sign of life yet.
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
  if (!is_active(peer)) return fail(Errc::refused, "it was not heard within an election timeout");
  return fail(Errc::refused, "it has not caught up: it is " +
                                 std::to_string(log.last().value - peer.match.value) +
                                 " entries behind");
}

bool Core::State::caught_up(const Progress& peer) const {
  const bool in_time =
      peer.match >= peer.catch_up_target || peer.catch_up_ticks < options.election_ticks;
  return peer.state == ProgressState::replicate && is_active(peer) && peer.keeps_up && in_time &&
         log.last().value - peer.match.value <= options.promote_lag_entries_max;
}

// Thesis 4.1: a configuration is in force from the moment it is in the log, committed or not.
void Core::State::members_appended(Index index, const Members& next) {
  members.append(index, next);
  out.members_changed = true;
  if (Leader* leader = as_leader()) align_peers(*leader);
}

// One Progress for each member but this node; that of a former member is leaving.
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
  leader.replication_due = true;
}

// The commit index has passed the configurations after `before`.
void Core::State::on_configurations_committed(Index before) {
  bool any = false;
  for (const MembersVersion& version : members.versions()) {
    // Without voters: the cluster has never had a configuration.
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

// Thesis 4.3: once the joint configuration is committed, the leader proposes to leave it.
void Core::State::continue_change() {
  if (role() != Role::leader || !is_joint(configuration())) return;
  if (members.latest().index <= commit) append_own(without_outgoing(configuration()));
}

}  // namespace iris::raft
