// Members that leave: how a removed leader resigns (thesis 4.2.2), and how a removed node learns of
// its removal, by its log, by a notice, or by an answer to its question.
#include <algorithm>
#include <string>
#include <utility>

#include "raft/state.h"

namespace iris::raft {

void Core::State::halt_removed(const std::string& why) {
  halt(Errc::refused, "this node was removed from the cluster (" + why + ")", true);
}

// This node was a member before, and its latest configuration is committed and does not contain it.
// A newcomer also reads configurations without it, from before its admission, and so does a node
// that was removed and admitted again. Therefore the node must have come as far as its leader; one
// that has heard no leader since its start asks (ask_whether_member).
void Core::State::halt_if_removed() {
  const bool has_come_as_far = commit_heard != Index{} && commit >= commit_heard;
  if (!was_member || role() == Role::leader || !has_come_as_far) return;
  const MembersVersion& latest = members.latest();
  if (latest.index > commit || is_member(latest.members, self)) return;
  halt_removed("configuration of entry " + std::to_string(latest.index.value));
}

// Thesis 4.2.2: a leader outside the configuration leads until that configuration is committed.
bool Core::State::is_removed() const {
  return role() == Role::leader && members.latest().index <= commit &&
         !is_member(configuration(), self);
}

void Core::State::resign_removed(Leader& leader) {
  const NodeId successor = best_successor(leader, {});
  if (successor != NodeId{}) send(successor, TimeoutNow{});
  halt_removed("configuration of entry " + std::to_string(members.latest().index.value));
}

// A former member gets the log until it had time to learn of its removal; after that it gets one
// notice, and answers when it asks.
void Core::State::tick_leaving(Leader& leader) {
  if (members.latest().index > commit) return;  // the removal may be undone yet
  for (auto& [id, peer] : leader.peers) {
    if (peer.leaving) ++peer.leaving_ticks;
  }
  std::erase_if(leader.peers, [this](const auto& entry) {
    const auto& [id, peer] = entry;
    const bool is_over = peer.leaving_ticks >= 2 * options.election_ticks;
    if (is_over) send(id, RemovalNotice{members.latest().index, false, log.id_at(commit)});
    return is_over;
  });
}

// A sender that is in no configuration is told so, and need not ask again (hazard 54). `seen` is
// the latest term in which it may have had a leader.
void Core::State::tell_if_removed(NodeId from, Term seen) {
  const MembersVersion& committed = members.at(commit);
  if (committed.members.voters.empty() || is_member(committed.members, from) ||
      is_member(configuration(), from)) {
    return;
  }
  const bool certain =
      (role() == Role::leader && committed_own_term()) || log.id_at(commit).term > seen;
  send(from, RemovalNotice{committed.index, certain, log.id_at(commit)});
}

// The sender's log supersedes this node's latest configuration. Either a later configuration is
// committed, or this one never will be: another entry is committed in its place, or before it an
// entry of a later leader, which has all that was ever committed (paper 5.4.3). A node that was
// admitted by such an entry waits for a leader that does not know it.
bool Core::State::supersedes_own(const RemovalNotice& notice) const {
  const Index own = members.latest().index;
  if (notice.members_index > own) return true;
  if (own <= commit) return false;  // committed
  return notice.commit.index >= own || notice.commit.term > log.id_at(own).term;
}

void Core::State::on_removal_notice(Term term, const RemovalNotice& notice) {
  const Index own = members.latest().index;
  if (own == Index{}) return;
  const bool is_later = supersedes_own(notice);
  const bool believed =
      is_member(configuration(), self)
          ? is_later
          : notice.certain && term >= hard.led && (is_later || notice.members_index == own);
  if (!believed) return;
  halt_removed("a member says so, by its configuration of entry " +
               std::to_string(notice.members_index.value));
}

// For a learner, and for a node that was stopped after its own removal was appended. It asks in the
// latest term that it had a leader in. If it named a later term, known from a candidate or from its
// own campaign, a member that has committed since the removal, but not after that term, could not
// be certain (tell_if_removed).
void Core::State::ask_whether_member() {
  for (const Member& voter : configuration().voters) {
    out.send.push_back({self, voter.id, hard.led, HeartbeatReply{}});
  }
}

}  // namespace iris::raft
