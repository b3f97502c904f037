// The rules on terms (paper 5.1), the dispatch of messages, how inputs become an output, and the
// public class.
#include "raft/core.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "raft/state.h"

namespace iris::raft {
namespace {

// No sound cluster gets here. A message of a later term is ignored: it would exhaust the numbers.
constexpr Term term_max{std::uint64_t{1} << 62};

void count_up(std::uint32_t& ticks) {
  if (ticks < std::numeric_limits<std::uint32_t>::max()) ++ticks;
}

}  // namespace

std::uint64_t Jitter::next() {
  state_ += 0x9e3779b97f4a7c15u;
  std::uint64_t mixed = state_;
  mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9u;
  mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebu;
  return mixed ^ (mixed >> 31);
}

Core::State::State(Options given, Recovered recovered)
    : options(given),
      self(recovered.self),
      hard(recovered.state),
      hard_written(recovered.state),
      log(recovered.floor.last, std::move(recovered.entries), recovered.state),
      members(recovered.floor.members, recovered.floor.members_index),
      commit(recovered.applied),
      handed_out(recovered.applied),
      applied(recovered.applied),
      jitter(given.seed ^ (recovered.self.value * 0xff51afd7ed558ccdu)) {
  CHECK(options.heartbeat_ticks > 0 && options.election_ticks > options.heartbeat_ticks);
  CHECK(options.append_bytes_max > 0 && options.window_bytes_max > 0);
  CHECK(options.window_messages_max > 0 && options.uncommitted_bytes_max > 0);
  CHECK(self != NodeId{});
  CHECK(applied >= log.floor().index && applied <= log.last());
  CHECK(log.last_id().term <= hard.term);
  for (Index index = log.first(); index <= log.last(); index = index.next()) {
    if (const Members* members_here = members_in(*log.at(index))) {
      members.append(index, *members_here);
    }
  }
  hard.led = std::max(hard.led, log.last_id().term);  // a leader of that term wrote the entry
  reported = now();
  restart_timer();
  on_configurations_committed({});
}

NodeId Core::State::leader_id() const {
  if (role() == Role::leader) return self;
  const auto* follower = std::get_if<Follower>(&role_data);
  return follower != nullptr ? follower->leader : NodeId{};
}

void Core::State::restart_timer() {
  elapsed_ticks = 0;
  // Paper 5.2: from [election_ticks, 2 * election_ticks).
  timeout_ticks =
      options.election_ticks + static_cast<std::uint32_t>(jitter.next() % options.election_ticks);
}

void Core::State::become_follower(NodeId leader) {
  if (Leader* led = as_leader()) led->reads.refuse_all(out.reads);
  role_data = Follower{leader};
  restart_timer();
}

void Core::State::enter_term(Term term) {
  CHECK(term > hard.term);
  hard = {term, NodeId{}, hard.led};
  verified = {};
  // Messages of an earlier term that still wait for the disk are obsolete: the vote or the entries
  // that they tell of may never become durable.
  std::erase_if(out.release, [term](const Message& message) { return message.term < term; });
  if (auto* follower = std::get_if<Follower>(&role_data)) {
    follower->leader = {};  // its timer runs on: only a granted vote restarts it (paper 5.2)
  } else {
    become_follower({});
  }
}

void Core::State::halt(Errc code, std::string text, bool removed) {
  if (halted) return;
  become_follower({});
  halted = true;
  out.release.clear();  // no further write, so the condition for these is never met
  out.halt = Error{code, std::move(text)};
  out.removed = removed;
}

// A node of no configuration in this log. It may be a member all the same: this log may lag behind
// the change that admitted it.
bool Core::State::is_stranger(NodeId id) const {
  return !configuration().voters.empty() && !members.knows(id);
}

// A stranger that leads is heeded, since its log may be what this one lacks; but not while this
// node hears its own leader, which would have told of the change, or leads itself. Nor does a
// stranger's word end this node: it may have been sent by anybody who reaches the raft port
// (hazard 123).
bool Core::State::heeds(const Message& message) const {
  if (!is_stranger(message.from)) return true;
  if (std::holds_alternative<RemovalNotice>(message.body)) return false;
  const auto* request = std::get_if<VoteRequest>(&message.body);
  const bool as_leader = std::holds_alternative<AppendRequest>(message.body) ||
                         std::holds_alternative<Heartbeat>(message.body) ||
                         std::holds_alternative<TimeoutNow>(message.body) ||
                         (request != nullptr && request->transfer);
  return !as_leader || message.term < hard.term || !hears_leader() || leader_id() == message.from;
}

// Paper 5.1: a later term is entered on sight, with two exceptions. A node that hears its leader
// ignores vote requests, their term included (thesis 4.2.3); and a reply counts only from a member.
// Returns false where the message is to be ignored.
bool Core::State::enter_later_term(const Message& message) {
  if (const auto* request = std::get_if<VoteRequest>(&message.body)) {
    if (!request->transfer && hears_leader()) return false;
  } else if (std::holds_alternative<VoteReply>(message.body) ||
             std::holds_alternative<AppendReply>(message.body) ||
             std::holds_alternative<HeartbeatReply>(message.body)) {
    if (!is_member(configuration(), message.from)) return false;
  }
  enter_term(message.term);
  return true;
}

// Requests of an earlier term are answered with the present one: the leader that sent them must
// step down, or this node, alone in its later term, would ignore it for ever (hazard 11). The
// answer tells nothing but the term: the sender may lead that term by now, and would take a round
// or an index of its former term for one of this (hazards 27, 74).
void Core::State::answer_earlier_term(const Message& message) {
  if (std::holds_alternative<AppendRequest>(message.body)) {
    release(message.from, AppendReply{false, {}, {}});
  } else if (std::holds_alternative<Heartbeat>(message.body)) {
    send(message.from, HeartbeatReply{});
  } else if (std::holds_alternative<VoteRequest>(message.body)) {
    send(message.from, VoteReply{false});
  }
}

void Core::State::step(Message message) {
  if (halted || message.to != self || message.from == self || message.from == NodeId{} ||
      message.term > term_max) {
    return;
  }
  if (!heeds(message)) return;
  // Pre-votes and removal notices neither move a term nor depend on it.
  if (const auto* notice = std::get_if<RemovalNotice>(&message.body)) {
    return on_removal_notice(message.term, *notice);
  }
  if (const auto* request = std::get_if<PreVoteRequest>(&message.body)) {
    return on_pre_vote_request(message, *request);
  }
  if (const auto* reply = std::get_if<PreVoteReply>(&message.body)) {
    return on_pre_vote_reply(message, *reply);
  }
  if (std::holds_alternative<VoteRequest>(message.body) ||
      std::holds_alternative<HeartbeatReply>(message.body)) {
    tell_if_removed(message.from, message.term);
  }
  if (message.term > hard.term && !enter_later_term(message)) return;
  if (message.term < hard.term) return answer_earlier_term(message);

  struct Dispatch {
    State& state;
    Message& message;
    void operator()(PreVoteRequest&) const {}
    void operator()(PreVoteReply&) const {}
    void operator()(RemovalNotice&) const {}
    void operator()(VoteRequest& body) const { state.on_vote_request(message, body); }
    void operator()(VoteReply& body) const { state.on_vote_reply(message, body); }
    void operator()(AppendRequest& body) const {
      state.on_append_request(message, std::move(body));
    }
    void operator()(Heartbeat& body) const { state.on_heartbeat(message, body); }
    void operator()(TimeoutNow&) const { state.on_timeout_now(message); }
    void operator()(AppendReply& body) const {
      if (Leader* leader = state.as_leader()) state.on_append_reply(*leader, message, body);
    }
    void operator()(HeartbeatReply& body) const {
      if (Leader* leader = state.as_leader()) state.on_heartbeat_reply(*leader, message, body);
    }
  };
  std::visit(Dispatch{*this, message}, message.body);
}

void Core::State::tick() {
  if (halted) return;
  if (log.has_open_tickets()) {
    count_up(stalled_ticks);
  } else {
    stalled_ticks = 0;
  }
  if (Leader* leader = as_leader()) {
    tick_leader(*leader);
  } else {
    tick_follower();
  }
}

void Core::State::tick_follower() {
  count_up(elapsed_ticks);
  if (elapsed_ticks < timeout_ticks) {
    const bool is_time = elapsed_ticks % options.heartbeat_ticks == 0;
    if (is_time && std::holds_alternative<Precandidate>(role_data)) ask_again_for_pre_votes();
    return;
  }
  // The members may have forgotten this node, and no other message would tell them that it waits.
  if (!is_voter(configuration(), self)) ask_whether_member();
  // While the disk hangs, its own vote could not become durable.
  const bool hangs = options.disk_stall_ticks != 0 && stalled_ticks >= options.disk_stall_ticks;
  if (!may_campaign() || hangs) return become_follower({});
  campaign();
}

void Core::State::persisted(Ticket ticket) {
  CHECK(ticket <= last_ticket);
  if (halted) return;
  const Index installed = log.floor().index;
  stalled_ticks = 0;
  log.persisted(ticket);
  if (log.stable() >= installed) applied = std::max(applied, installed);
  if (std::holds_alternative<Candidate>(role_data)) count_votes();
  if (Leader* leader = as_leader()) advance_commit(*leader);
}

bool Core::State::has_write() const {
  if (halted) return false;
  // A new `led` alone is no reason to write: it is written along with the next change.
  const bool has_voted = hard.term != hard_written.term || hard.vote != hard_written.vote;
  return has_voted || install.has_value() || log.has_unwritten();
}

bool Core::State::has_output() const {
  if (out.halt) return true;
  if (halted) return false;
  if (const Leader* leader = as_leader()) {
    if (leader->replication_due || (leader->reads.has_unsent() && committed_own_term()))
      return true;
  }
  return has_write() || handed_out < applicable() || !out.release.empty() || !out.send.empty() ||
         !out.reads.empty() || !out.snapshots_wanted.empty() || out.members_changed ||
         reported != now();
}

Output Core::State::take_output() {
  if (Leader* leader = as_leader()) {
    start_reads(*leader);
    replicate_all(*leader);
    if (is_removed()) resign_removed(*leader);
  }
  if (has_write()) {
    last_ticket = last_ticket.next();
    LogWrite write;
    write.ticket = last_ticket;
    if (hard != hard_written) write.state = hard;
    write.install = std::exchange(install, std::nullopt);
    write.entries = log.take_unwritten();
    hard_written = hard;
    log.open(last_ticket, hard);
    out.write = std::move(write);
  }
  while (!halted && handed_out < applicable()) {
    handed_out = handed_out.next();
    out.commit.push_back(log.at(handed_out));
    if (Leader* leader = as_leader()) leader->pending_bytes -= entry_bytes(*log.at(handed_out));
  }
  out.role_changed = reported != now();
  reported = now();
  return std::exchange(out, Output{});
}

// --- The public class.

Core::Core(Options options, Recovered recovered)
    : state_(std::make_unique<State>(options, std::move(recovered))) {}
Core::~Core() = default;
Core::Core(Core&&) noexcept = default;

void Core::bootstrap(Members members) { state_->bootstrap(std::move(members)); }
void Core::tick() { state_->tick(); }
void Core::step(Message message) { state_->step(std::move(message)); }
Result<EntryId> Core::propose(Command command) { return state_->propose(std::move(command)); }
Result<EntryId> Core::change(const MemberChange& change, bool force) {
  return state_->change(change, force);
}
Result<ReadId> Core::read() { return state_->read(); }
Result<NodeId> Core::transfer(NodeId target, std::vector<NodeId> unreachable) {
  return state_->transfer(target, std::move(unreachable));
}
void Core::campaign() {
  if (!state_->halted) state_->campaign();
}
void Core::persisted(Ticket ticket) { state_->persisted(ticket); }
void Core::applied(Index index) {
  CHECK(index <= state_->handed_out);
  state_->applied = std::max(state_->applied, index);
}
void Core::set_lagging(bool lagging) { state_->lagging = lagging; }
bool Core::snapshot_received(const SnapshotMetadata& snapshot, NodeId from) {
  return state_->snapshot_received(snapshot, from);
}
void Core::snapshot_sent(NodeId id, bool ok, EntryId last) { state_->snapshot_sent(id, ok, last); }
void Core::trim(Index floor) {
  if (floor <= state_->log.floor().index) return;
  CHECK(floor <= state_->applied);
  state_->log.trim(floor);
  state_->members.trim(floor);
}
bool Core::has_output() const { return state_->has_output(); }
Output Core::take_output() { return state_->take_output(); }
CoreStatus Core::status() const { return state_->status(); }
NodeId Core::leader() const { return state_->leader_id(); }
Role Core::role() const { return state_->role(); }
Term Core::term() const { return state_->hard.term; }
Index Core::commit_index() const { return state_->commit; }
Index Core::last_index() const { return state_->log.last(); }
std::size_t Core::log_bytes() const { return state_->log.bytes(); }
const Members& Core::members() const { return state_->configuration(); }
Index Core::members_index() const { return state_->members.latest().index; }
Level Core::level_at(Index index) const { return state_->members.at(index).members.level; }
bool Core::members_settled() const { return state_->members_settled(); }
bool Core::was_member() const { return state_->was_member; }
NodeId Core::transfer_target() const { return state_->transfer_target(); }
std::vector<PeerStatus> Core::peers() const { return state_->peers(); }
bool Core::hears(NodeId id) const { return state_->hears(id); }
NodeId Core::promotable_learner() const { return state_->promotable_learner(); }
SnapshotMetadata Core::snapshot_metadata_at(Index index) const {
  const EntryId id = state_->log.id_at(index);
  const MembersVersion& version = state_->members.at(index);
  return {id, version.members, version.index};
}
EntryPtr Core::entry(Index index) const {
  const Log& log = state_->log;
  return index >= log.first() && index <= log.last() ? log.at(index) : nullptr;
}
void Core::check_invariants() const { state_->check_invariants(); }

}  // namespace iris::raft
