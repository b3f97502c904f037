// Campaigns and votes: pre-votes first (thesis 9.6), leader stickiness (thesis 4.2.3), and the
// target's side of a leadership transfer (thesis 3.10).
#include <utility>

#include "raft/state.h"

namespace iris::raft {

void Core::State::campaign() {
  if (role() == Role::leader || !may_campaign()) return;
  ask_for_pre_votes();
}

// Neither a learner nor a removed node campaigns (hazard 7). But a voter campaigns as long as the
// removal in its log is uncommitted: its log may be the only one long enough to be elected. Its own
// vote does not count then, as it is in no quorum of its configuration (thesis 4.2.2).
bool Core::State::may_campaign() const {
  if (is_voter(configuration(), self)) return true;
  return members.latest().index > commit && is_voter(members.at(commit).members, self);
}

// Thesis 9.6: find out whether an election could be won before moving any term.
void Core::State::ask_for_pre_votes() {
  role_data = Precandidate{{{self, true}}};
  restart_timer();
  ask_again_for_pre_votes();
  count_pre_votes();  // an only voter has won already
}

// Asks the voters that have not granted a pre-vote. One that refused because it had heard the
// leader a tick later than this node may grant it an interval later.
void Core::State::ask_again_for_pre_votes() {
  const Ballot& ballot = std::get<Precandidate>(role_data).ballot;
  for (const Member& member : all_members(configuration())) {
    const auto answer = ballot.find(member.id);
    const bool has_granted = answer != ballot.end() && answer->second;
    if (has_granted || !is_voter(configuration(), member.id)) continue;
    out.send.push_back({self, member.id, hard.term.next(), PreVoteRequest{log.last_id()}});
  }
}

void Core::State::ask_for_votes(bool transfer) {
  enter_term(hard.term.next());
  hard.vote = self;
  role_data = Candidate{};
  for (const Member& member : all_members(configuration())) {
    if (member.id == self || !is_voter(configuration(), member.id)) continue;
    // Once the disk has this vote and the log that the request tells of: otherwise answers that
    // arrive after a crash would elect a node with a shorter log in the same term.
    release(member.id, VoteRequest{log.last_id(), transfer});
  }
  count_votes();
}

Tally Core::State::tally(const Ballot& ballot) const {
  return quorum_tally(configuration(), [&ballot](NodeId id) -> std::optional<bool> {
    const auto answer = ballot.find(id);
    if (answer == ballot.end()) return std::nullopt;
    return answer->second;
  });
}

void Core::State::count_pre_votes() {
  switch (tally(std::get<Precandidate>(role_data).ballot)) {
    case Tally::pending:
      return;
    case Tally::won:
      return ask_for_votes(false);
    case Tally::lost:
      return become_follower({});
  }
}

void Core::State::count_votes() {
  Ballot& ballot = std::get<Candidate>(role_data).ballot;
  // A candidate's own vote counts once it is durable, like all votes.
  if (log.durable_state() == hard) ballot.emplace(self, true);
  switch (tally(ballot)) {
    case Tally::pending:
      return;
    case Tally::won:
      return become_leader();
    case Tally::lost:
      return become_follower({});
  }
}

void Core::State::become_leader() {
  CHECK(hard.vote == self && log.durable_state() == hard);
  role_data = Leader{};
  hard.led = hard.term;
  Leader& leader = std::get<Leader>(role_data);
  for (Index index = handed_out.next(); index <= log.last(); index = index.next()) {
    leader.pending_bytes += entry_bytes(*log.at(index));
  }
  align_peers(leader);
  // Paper 5.4.2, 8: an entry of the new term commits those before it and opens the way for reads.
  append_own(NoOp{});
}

// This node leads, or has heard a leader that may well be alive (thesis 4.2.3). A leader that lost
// its quorum steps down within election_ticks, so leading needs no further check.
bool Core::State::hears_leader() const {
  return role() == Role::leader ||
         (leader_id() != NodeId{} && elapsed_ticks < options.election_ticks);
}

void Core::State::on_pre_vote_request(const Message& message, const PreVoteRequest& request) {
  tell_if_removed(message.from, message.term);
  // "Would you vote for me in message.term?" The answer is no promise and restarts no timer.
  const bool term_is_open =
      message.term > hard.term ||
      (message.term == hard.term && (hard.vote == NodeId{} || hard.vote == message.from) &&
       leader_id() == NodeId{});
  const bool granted = term_is_open && !hears_leader() && up_to_date(request.last, log.last_id());
  out.send.push_back(
      {self, message.from, granted ? message.term : hard.term, PreVoteReply{granted}});
}

void Core::State::on_pre_vote_reply(const Message& message, const PreVoteReply& reply) {
  if (!reply.granted && message.term > hard.term) {
    if (is_member(configuration(), message.from)) enter_term(message.term);
    return;
  }
  auto* precandidate = std::get_if<Precandidate>(&role_data);
  if (precandidate == nullptr) return;
  if (reply.granted && message.term != hard.term.next()) return;  // of an earlier campaign
  precandidate->ballot.insert_or_assign(message.from, reply.granted);
  count_pre_votes();
}

void Core::State::on_vote_request(const Message& message, const VoteRequest& request) {
  // Paper 5.2, 5.4.1: one vote a term, first come first served, to a log at least as up to date.
  // A known leader of this term also excludes a vote: the term is decided.
  const bool vote_is_free =
      hard.vote == message.from || (hard.vote == NodeId{} && leader_id() == NodeId{});
  if (!vote_is_free || !up_to_date(request.last, log.last_id())) {
    return send(message.from, VoteReply{false});
  }
  hard.vote = message.from;
  if (std::holds_alternative<Precandidate>(role_data)) become_follower({});
  restart_timer();
  release(message.from, VoteReply{true});
}

void Core::State::on_vote_reply(const Message& message, const VoteReply& reply) {
  auto* candidate = std::get_if<Candidate>(&role_data);
  if (candidate == nullptr) return;
  // A refusal never replaces a vote: it may answer a request of an earlier term.
  if (reply.granted) {
    candidate->ballot.insert_or_assign(message.from, true);
  } else {
    candidate->ballot.emplace(message.from, false);
  }
  count_votes();
}

// Thesis 3.10: without pre-votes, and the vote requests say `transfer`, which overrides stickiness.
void Core::State::on_timeout_now(const Message& message) {
  const auto* follower = std::get_if<Follower>(&role_data);
  if (follower == nullptr) return;
  if (follower->leader != message.from && follower->leader != NodeId{}) return;
  if (!contains(configuration().voters, self)) return;
  ask_for_votes(true);
}

}  // namespace iris::raft
