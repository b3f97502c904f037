#include "tests/sim/node_judge.h"

#include <algorithm>

#include "raft/members.h"
#include "tests/sim/report.h"
#include "tests/sim/world.h"

namespace iris::sim {
namespace {

// Everything is checked once in so many events of a node (a prime, to meet all kinds of events),
// and less often where the log is so long that it would take most of the time.
constexpr std::uint64_t full_check_every = 251;
constexpr std::size_t full_check_entries_an_event = 8;
// With SimOptions::check_everything it is after each, while the log is no longer than this.
constexpr std::size_t full_check_entries_max = 200;

}  // namespace

std::string NodeJudge::who() const {
  return "node " + to_text(host_.id()) + " (h" + std::to_string(host_.number()) + ")";
}

std::optional<raft::EntryId> NodeJudge::id_at(raft::Index index) const {
  if (index == base_.index) return base_;
  if (index < base_.index || index > last()) return std::nullopt;
  return tail_[index.value - base_.index.value - 1].entry->id;
}

Chain NodeJudge::chain_at(raft::Index index) const {
  if (index == base_.index) return base_chain_;
  CHECK(index > base_.index && index <= last());
  return tail_[index.value - base_.index.value - 1].chain;
}

void NodeJudge::started() {
  const raft::Core& core = host_.node().core();
  if (folder_ != host_.id()) durable_ = {};
  folder_ = host_.id();
  tail_.clear();
  configurations_.clear();
  base_ = {};
  base_chain_ = chain_of_nothing;
  base_members_ = {};
  term_ = {};
  leading_ = {};
  commit_ = {};
  applied_ = host_.node().applied();
  data_ = nullptr;
  const raft::CoreStatus status = core.status();
  const raft::Index floor{status.first.value - 1};
  if (floor.value > 0) rebase(core, floor);
  commit_ = core.commit_index();
  VERIFY(commit_ >= applied_, "RP", who() + " applied more than it knows to be committed");
  check_all();
}

void NodeJudge::check() {
  const raft::Core& core = host_.node().core();
  VERIFY(core.term() >= term_, "MT", who() + ": the term goes down");
  term_ = core.term();
  check_disk();
  follow_log();
  if (members_moved_) check_members();
  check_leader();
  check_commit();
  check_level();
  ++unchecked_;
  const bool often = world_.options.check_everything && tail_.size() <= full_check_entries_max;
  const bool due =
      unchecked_ >= full_check_every && unchecked_ * full_check_entries_an_event >= tail_.size();
  if (often || due) check_all();
}

void NodeJudge::check_disk() {
  const ModelDisk& disk = host_.disk();
  const raft::HardState& state = disk.log().state;
  if (state != durable_) {
    VERIFY(state.term >= durable_.term, "MT", who() + ": the durable term goes down");
    if (state.vote.value != 0) world_.ghost.vote(host_.id(), state.term, state.vote);
    durable_ = state;
  }
  if (disk.data_version().get() != data_) {
    data_ = disk.data_version().get();
    if (!host_.planted()) world_.ghost.check_data(*data_, who());
  }
}

// --- The log.

void NodeJudge::follow_log() {
  const raft::Core& core = host_.node().core();
  const bool moved =
      tail_.empty() ? core.commit_index() > base_.index : core.entry(last()) != tail_.back().entry;
  if (moved) rewind(core);
  for (raft::EntryPtr entry = core.entry(last().next()); entry != nullptr;
       entry = core.entry(last().next())) {
    append(entry);
  }
  // The node has trimmed a long part of its log.
  const raft::Index floor = host_.node().floor();
  while (!tail_.empty() && base_.index < floor) {
    const Seen& front = tail_.front();
    if (const auto* members = std::get_if<raft::Members>(&front.entry->payload)) {
      base_members_ = *members;
      configurations_.erase(configurations_.begin());
    }
    base_ = front.entry->id;
    base_chain_ = front.chain;
    tail_.pop_front();
  }
}

// The end of the log has changed: it was cut, or restarted after a snapshot.
void NodeJudge::rewind(const raft::Core& core) {
  const raft::CoreStatus status = core.status();
  const raft::Index floor{status.first.value - 1};
  const raft::EntryId mark =
      floor.value > 0 ? core.snapshot_metadata_at(floor).last : raft::EntryId{};
  if (floor > last() || (floor > base_.index && id_at(floor) != mark)) {
    rebase(core, floor);
    return;
  }
  while (!tail_.empty() && last() > floor) {
    const raft::EntryPtr now = core.entry(last());
    if (now == tail_.back().entry) return;
    if (now != nullptr && now->id == tail_.back().entry->id) return;  // read anew from the disk
    forget_back();
  }
}

void NodeJudge::rebase(const raft::Core& core, raft::Index floor) {
  world_.ghost.check_mark(core.snapshot_metadata_at(floor), who() + " begins its log");
  while (last() > floor) forget_back();
  const raft::SnapshotMetadata mark = core.snapshot_metadata_at(floor);
  base_ = mark.last;
  base_chain_ = world_.ghost.chain_at(floor);
  base_members_ = mark.members;
  tail_.clear();
  configurations_.clear();
  members_moved_ = true;
}

void NodeJudge::forget_back() {
  const raft::EntryId id = tail_.back().entry->id;
  VERIFY(id.index > commit_, "TB", who() + " cut " + to_text(id) + ", which it knows committed");
  VERIFY(
      leading_.value == 0 || leading_ != term_ || host_.node().core().role() != raft::Role::leader,
      "LAO", who() + " cut " + to_text(id) + " of its own log as the leader");
  VERIFY(id.index > world_.ghost.committed() || world_.ghost.id_at(id.index) != id, "TB",
         who() + " cut " + to_text(id) + ", which is committed");
  if (!configurations_.empty() && configurations_.back().first == id.index) {
    configurations_.pop_back();
    members_moved_ = true;
  }
  tail_.pop_back();
}

void NodeJudge::append(const raft::EntryPtr& entry) {
  VERIFY(entry->id.index == last().next(), "LM",
         who() + ": " + to_text(entry->id) + " is misplaced");
  const Chain chain = extend(tail_.empty() ? base_chain_ : tail_.back().chain, *entry);
  world_.ghost.prefix(entry->id, chain);
  tail_.push_back({entry, chain});
  if (const auto* members = std::get_if<raft::Members>(&entry->payload)) {
    const raft::Core& core = host_.node().core();
    const raft::Members& before =
        configurations_.empty() ? base_members_ : configurations_.back().second;
    const bool own = core.role() == raft::Role::leader && entry->id.term == core.term();
    if (own && members->level > before.level) check_raised(*members);
    configurations_.emplace_back(entry->id.index, *members);
    members_moved_ = true;
  }
}

// The configuration in force is the last one in the log, committed or not (thesis 4.1).
void NodeJudge::check_members() {
  members_moved_ = false;
  const raft::Core& core = host_.node().core();
  const raft::Members& expected =
      configurations_.empty() ? base_members_ : configurations_.back().second;
  VERIFY(core.members() == expected, "CF",
         who() + " acts on " + to_text(core.members()) + ", its log says " + to_text(expected));
  if (core.role() != raft::Role::leader || configurations_.empty()) return;
  const raft::Index committed_somewhere = std::max(core.commit_index(), world_.ghost.committed());
  const auto uncommitted = std::count_if(
      configurations_.begin(), configurations_.end(),
      [&](const auto& configuration) { return configuration.first > committed_somewhere; });
  VERIFY(uncommitted <= 1, "CF", who() + " leads with two uncommitted configurations");
  const auto& [index, members] = configurations_.back();
  if (id_at(index)->term != core.term() || index.value == 1) return;
  const raft::Index before{std::min(index.value - 1, core.commit_index().value)};
  const std::optional<raft::EntryId> committed = id_at(before);
  VERIFY(!committed || committed->term == core.term(), "CF",
         who() + " changed the members before it had committed an entry of its term");
}

// --- Feature levels.

void NodeJudge::check_level() const {
  if (host_.ends()) return;
  const Node& node = host_.node();
  const raft::Level level = node.cluster_level();
  VERIFY(level <= host_.build(), "FL",
         who() + " goes on at level " + std::to_string(level.value) + ", beyond its build");
  VERIFY(level == world_.ghost.members_at(node.applied()).level, "FL",
         who() + " says that the level at " + std::to_string(node.applied().value) + " is " +
             std::to_string(level.value));
}

// A member may be replaced by an older build after it said its level, but not before.
void NodeJudge::check_raised(const raft::Members& members) const {
  for (const raft::Member& member : raft::all_members(members)) {
    const Host* host = world_.host_of(member.id);
    VERIFY(host != nullptr && host->runs() && host->build() >= members.level, "FL",
           who() + " raises the level to " + std::to_string(members.level.value) + ", which node " +
               to_text(member.id) + " has not said that it knows");
  }
}

// --- Elections.

void NodeJudge::check_leader() {
  const raft::Core& core = host_.node().core();
  if (core.role() != raft::Role::leader) {
    leading_ = {};
    return;
  }
  if (leading_ == core.term()) return;
  leading_ = core.term();
  ++world_.stats.elections;
  Ghost& ghost = world_.ghost;
  TRACE(host_.tag(), "leads in term " + std::to_string(core.term().value));
  ghost.leader(host_.id(), core.term());
  // A node that is being removed may be needed until its removal is committed (thesis 4.2.2).
  const raft::SnapshotMetadata committed_here = core.snapshot_metadata_at(core.commit_index());
  VERIFY(raft::is_voter(core.members(), host_.id()) ||
             (committed_here.members_index < core.members_index() &&
              raft::is_voter(committed_here.members, host_.id())),
         "QF", who() + " leads and is no voter");
  VERIFY(is_quorum(core.members(),
                   [&](raft::NodeId id) { return ghost.voted(id, core.term(), host_.id()); }),
         "QF",
         who() + " leads without the durable votes of a quorum of " + to_text(core.members()));
  // A leader that was paused before the last vote came may find that a later term has begun.
  const raft::Index committed = ghost.committed_before(core.term());
  VERIFY(last() >= committed, "LC", who() + " leads and lacks committed entries");
  const raft::Index both = std::max(committed, base_.index);
  VERIFY(both > ghost.committed() || chain_at(both) == ghost.chain_at(both), "LC",
         who() + " leads with a log other than the committed one");
}

// --- Commit.

void NodeJudge::check_commit() {
  const raft::Core& core = host_.node().core();
  Ghost& ghost = world_.ghost;
  const raft::Index commit = core.commit_index();
  VERIFY(commit >= commit_, "MT", who() + ": the commit index goes down");
  if (commit == commit_) return;
  VERIFY(commit <= last(), "SMS", who() + " commits what it does not have");
  if (commit > ghost.committed()) {
    VERIFY(core.role() == raft::Role::leader, "CID",
           who() + " is no leader and commits before all others");
    VERIFY(id_at(commit)->term == core.term(), "CID",
           who() + " commits " + to_text(*id_at(commit)) + " of a former term by counting");
    check_quorum(commit);
    while (ghost.committed() < commit) {
      const raft::Index next = ghost.committed().next();
      CHECK(next > base_.index);
      const Seen& seen = tail_[next.value - base_.index.value - 1];
      TRACE(host_.tag(), "commits " + to_text(seen.entry->id));
      if (std::holds_alternative<raft::Members>(seen.entry->payload)) {
        ++world_.stats.member_changes;
        TRACE(host_.tag(), "members " + to_text(std::get<raft::Members>(seen.entry->payload)));
      }
      ghost.commit(seen.entry, seen.chain, core.term());
      ++world_.stats.commits;
    }
  } else {
    VERIFY(commit < base_.index || chain_at(commit) == ghost.chain_at(commit), "SMS",
           who() + " commits other entries up to " + std::to_string(commit.value));
  }
  commit_ = commit;
}

// Counted on the disks, not in the leader's memory.
void NodeJudge::check_quorum(raft::Index index) const {
  const raft::EntryId id = *id_at(index);
  const raft::Members& members = host_.node().core().members();
  const auto holds = [&](raft::NodeId node) {
    const ModelDisk* disk = world_.disk_of(node);
    return disk != nullptr && (disk->log().holds(id) || disk->log().floor.last.index >= index);
  };
  VERIFY(is_quorum(members, holds), "CID",
         who() + " commits " + to_text(id) + ", which is not on the disks of a quorum of " +
             to_text(members));
}

// --- Applied entries.

void NodeJudge::applied(const raft::EntryPtr& entry, const Outcome& outcome) {
  const Ghost& ghost = world_.ghost;
  const raft::Index index = entry->id.index;
  VERIFY(index > applied_, "SMS", who() + " applies " + to_text(entry->id) + " again");
  VERIFY(index <= ghost.committed(), "WP", who() + " applies what is not committed");
  for (raft::Index between = applied_.next(); between < index; between = between.next()) {
    VERIFY(!std::holds_alternative<raft::Command>(ghost.at(between).entry->payload), "SMS",
           who() + " skips the command at " + std::to_string(between.value));
  }
  VERIFY(understands(*entry, host_.build()).has_value(), "FL",
         who() + " applies " + to_text(entry->id) + ", which its build does not know");
  const Committed& committed = ghost.at(index);
  VERIFY(*entry == *committed.entry, "SMS", who() + " applies another " + to_text(entry->id));
  VERIFY(outcome == committed.outcome || host_.planted(), "SMS",
         who() + ": another outcome at " + to_text(entry->id));
  applied_ = index;
}

void NodeJudge::installed(raft::Index index) {
  ++world_.stats.snapshots;
  TRACE(host_.tag(), "installed a snapshot up to " + std::to_string(index.value));
  VERIFY(index > applied_ && index <= world_.ghost.committed(), "SN",
         who() + " installed a snapshot at " + std::to_string(index.value));
  applied_ = index;
}

void NodeJudge::check_all() {
  unchecked_ = 0;
  const raft::Core& core = host_.node().core();
  core.check_invariants();
  check_disk();
  follow_log();
  check_members();
  for (const Seen& seen : tail_) {
    const raft::EntryPtr entry = core.entry(seen.entry->id.index);
    VERIFY(entry != nullptr && entry->id == seen.entry->id, "LM",
           who() + ": the log has changed in its middle at " + to_text(seen.entry->id));
  }
  const Node& node = host_.node();
  VERIFY(node.applied() <= core.commit_index(), "WP", who() + " applied beyond its commit index");
  VERIFY(node.applied() >= applied_, "MT", who() + ": the applied index goes down");
}

// --- Messages that leave.

void NodeJudge::check_send(raft::NodeId to, const PeerBody& body) const {
  if (const auto* message = std::get_if<raft::Message>(&body)) {
    VERIFY(message->to == to && message->from == host_.id(), "NC", who() + ": wrong envelope");
    check_raft_message(*message);
  } else if (const auto* chunk = std::get_if<SnapshotChunk>(&body)) {
    if (chunk->offset == 0) world_.ghost.check_mark(chunk->mark, who() + " sends");
  } else if (const auto* reply = std::get_if<StateHashReply>(&body)) {
    ++world_.stats.hashes;
    if (!reply->passed && !host_.planted()) world_.ghost.check_hash(reply->hash, who());
  } else if (const auto* verdict = std::get_if<StateVerdict>(&body)) {
    ++world_.stats.verdicts;
    const Host* other = world_.host_of(to);
    VERIFY(verdict->result == StateVerdict::Result::equal || other == nullptr || other->planted(),
           "OD", who() + " finds node " + to_text(to) + " odd, and it is not");
  }
}

void NodeJudge::check_raft_message(const raft::Message& message) const {
  const raft::HardState& state = host_.disk().log().state;
  if (const auto* vote = std::get_if<raft::VoteReply>(&message.body)) {
    if (!vote->granted) return;
    // The vote is on the sender's disk, or a later term overtook it in the same sync: then no other
    // vote of its term can follow.
    VERIFY((state.term == message.term && state.vote == message.to) || state.term > message.term,
           "VD",
           who() + " grants a vote in term " + std::to_string(message.term.value) +
               " that is not on its disk");
    world_.ghost.vote(host_.id(), message.term, message.to);
  } else if (std::holds_alternative<raft::VoteRequest>(message.body)) {
    VERIFY((state.term == message.term && state.vote == message.from) || state.term > message.term,
           "VD",
           who() + " asks for votes in term " + std::to_string(message.term.value) +
               " before its own is on its disk");
  } else if (const auto* append = std::get_if<raft::AppendReply>(&message.body)) {
    if (append->matched) check_acknowledged(message, append->index);
  } else if (const auto* beat = std::get_if<raft::HeartbeatReply>(&message.body)) {
    VERIFY(beat->durable <= beat->verified, "AD", who() + ": durable beyond verified");
    if (beat->durable.value > 0) check_acknowledged(message, beat->durable);
  } else if (const auto* heartbeat = std::get_if<raft::Heartbeat>(&message.body)) {
    const ModelDisk* disk = world_.disk_of(message.to);
    std::optional<raft::EntryId> own = id_at(heartbeat->match);
    // Later in the same turn it followed another leader, whose entry is there now (seed 95002157).
    if (own && own->term > message.term) own.reset();
    VERIFY(heartbeat->commit <= heartbeat->match, "AD", who() + ": commit beyond match");
    VERIFY(heartbeat->match.value == 0 || disk == nullptr || !own || disk->log().holds(*own) ||
               disk->log().floor.last.index >= heartbeat->match ||
               disk->log().state.term > message.term,
           "AD", who() + " believes that node " + to_text(message.to) + " holds " + to_text(*own));
  }
}

// Everything up to `index` is on this disk, as the leader of the message's term has it. A message
// that waited for the disk until its term was over was true then; a later leader's entries may have
// replaced its entries by now.
void NodeJudge::check_acknowledged(const raft::Message& message, raft::Index index) const {
  const LogState& log = host_.disk().log();
  VERIFY(log.state.term >= message.term, "AD",
         who() + " acknowledges in term " + std::to_string(message.term.value) +
             " that is not on its disk");
  if (log.state.term > message.term) return;
  VERIFY(index <= log.last(), "AD",
         who() + " acknowledges " + std::to_string(index.value) + ", on its disk is " +
             std::to_string(log.last().value));
  const Host* leader = world_.host_of(message.to);
  if (leader == nullptr || !leader->runs() || leader->node_judge().leading_term() != message.term)
    return;
  const std::optional<raft::EntryId> theirs = leader->node_judge().id_at(index);
  if (!theirs || index <= log.floor.last.index) return;
  VERIFY(log.holds(*theirs), "AD",
         who() + " acknowledges " + std::to_string(index.value) + ", where the leader has " +
             to_text(*theirs) + " and its own disk has not");
}

}  // namespace iris::sim
