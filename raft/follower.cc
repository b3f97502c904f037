// A follower's side of replication: entries, heartbeats and snapshots from its leader (paper 5.3,
// 7), and the detection of a disk that lost acknowledged entries.
#include <algorithm>
#include <string>
#include <utility>

#include "raft/state.h"

namespace iris::raft {
namespace {

std::string text_of(NodeId id) {
  static constexpr char digits[] = "0123456789abcdef";
  std::string text(16, '0');
  for (int nibble = 0; nibble < 16; ++nibble) {
    text[static_cast<std::size_t>(15 - nibble)] = digits[(id.value >> (4 * nibble)) & 0xf];
  }
  return text;
}

// No gap, no term that falls, none later than the sender's (hazard 34).
bool is_contiguous(const AppendRequest& request, Term term) {
  EntryId before = request.prev;
  if (before.index == Index{} && before.term != Term{}) return false;
  for (const EntryPtr& entry : request.entries) {
    if (entry->id.index != before.index.next() || entry->id.term < before.term) return false;
    before = entry->id;
  }
  return before.term <= term;
}

}  // namespace

// The sender leads this term. False where another leader of it is known: one of the two is wrong,
// which one cannot be told, so the second is ignored.
bool Core::State::follow(NodeId leader) {
  if (role() == Role::leader) return false;
  const auto* follower = std::get_if<Follower>(&role_data);
  if (follower == nullptr || follower->leader == NodeId{}) {
    become_follower(leader);
    hard.led = hard.term;
    return true;
  }
  if (follower->leader != leader) return false;
  elapsed_ticks = 0;
  return true;
}

void Core::State::on_append_request(const Message& message, AppendRequest request) {
  if (!is_contiguous(request, message.term) || !follow(message.from)) return;
  commit_heard = std::max(commit_heard, request.commit);
  const Index end{request.prev.index.value + request.entries.size()};
  const EntryId floor = log.floor();
  if (end <= floor.index) {
    // All of it is committed here, hence in the leader's log as well (paper 5.4).
    verified = std::max(verified, end);
    return acknowledge(message.from, end);
  }
  if (request.prev.index < floor.index) {
    // Trimmed entries are skipped: neither compared nor a conflict (hazard 24).
    const std::size_t known = floor.index.value - request.prev.index.value;
    request.prev = request.entries[known - 1]->id;
    request.entries.erase(request.entries.begin(),
                          request.entries.begin() + static_cast<std::ptrdiff_t>(known));
  }
  if (!log.holds(request.prev)) {
    if (request.prev.index <= std::max(commit, verified)) {
      return halt_contradicted(message.from, request.prev.index);
    }
    return release(message.from,
                   AppendReply{false, request.prev.index, log.last_not_after(request.prev)});
  }
  if (!accept_entries(message.from, request.entries)) return;
  verified = std::max(verified, end);
  // Only as far as this very message proved, whatever follows in this log (hazard 25).
  commit_to(std::min(request.commit, end));
  if (!halted) acknowledge(message.from, end);
}

// Entries that are here already stay, as does the log after them: a late or repeated request must
// not cut a longer log that matches (paper 5.3, hazard 22).
bool Core::State::accept_entries(NodeId leader, std::vector<EntryPtr>& entries) {
  auto entry = entries.begin();
  while (entry != entries.end() && log.holds((*entry)->id)) ++entry;
  if (entry == entries.end()) return true;
  const Index from = (*entry)->id.index;
  if (from <= log.last()) {
    if (from <= std::max(commit, verified)) {
      halt_contradicted(leader, from);
      return false;
    }
    log.truncate_from(from);
    if (members.truncate_from(from)) out.members_changed = true;
  }
  for (; entry != entries.end(); ++entry) {
    log.append(*entry);
    if (const Members* next = members_in(**entry)) members_appended((*entry)->id.index, *next);
  }
  return true;
}

// The leader's log lacks an entry that is committed here: some disk lost acknowledged entries, or
// the sender is no leader (heeds()).
void Core::State::halt_contradicted(NodeId leader, Index index) {
  if (is_stranger(leader)) return;
  halt(Errc::corrupt,
       "the leader's log contradicts entry " + std::to_string(index.value) +
           ", which was committed here: a disk of this cluster lost synced writes, or an old copy "
           "of a raft folder was started",
       false);
}

// To acknowledge less than is durable is always safe. A node that applies more slowly than the
// others commit would otherwise have to keep the whole difference in memory.
Index Core::State::acknowledgeable(Index index) const {
  return lagging ? std::min(index, applied) : index;
}

// Several acknowledgements of one output become one: requests of one leader in one term proved them
// all, so the furthest covers the others.
void Core::State::acknowledge(NodeId leader, Index index) {
  index = acknowledgeable(index);
  if (!out.release.empty()) {
    Message& last = out.release.back();
    auto* reply = std::get_if<AppendReply>(&last.body);
    if (reply != nullptr && reply->matched && last.to == leader && last.term == hard.term) {
      reply->index = std::max(reply->index, index);
      return;
    }
  }
  release(leader, AppendReply{true, index, {}});
}

void Core::State::on_heartbeat(const Message& message, const Heartbeat& heartbeat) {
  if (!follow(message.from)) return;
  if (heartbeat.match > log.last()) {
    if (is_stranger(message.from)) return;  // heeds()
    // Entries acknowledged in a term are never cut in that term, so the disk lost them.
    return halt(Errc::corrupt,
                "this node's log ends at entry " + std::to_string(log.last().value) +
                    ", but it acknowledged entry " + std::to_string(heartbeat.match.value) +
                    " to leader " + text_of(message.from) +
                    ": its disk lost synced writes, or an old copy of its raft folder was started",
                false);
  }
  // Only as far as requests of this term proved the log equal to the leader's (hazard 35).
  commit_to(std::min(heartbeat.commit, verified));
  if (!halted) send(message.from, heartbeat_reply(heartbeat.round));
}

HeartbeatReply Core::State::heartbeat_reply(Round round) const {
  // A crash would take back a term that is not durable, and with it the acknowledgement.
  const bool term_is_durable = log.durable_state().term == hard.term;
  return {round, verified,
          term_is_durable ? acknowledgeable(std::min(verified, log.stable())) : Index{}};
}

bool Core::State::snapshot_received(const SnapshotMetadata& snapshot, NodeId from) {
  if (halted || role() == Role::leader) return false;
  if (snapshot.last.term > hard.term) enter_term(snapshot.last.term);
  bool installs = false;
  if (log.holds(snapshot.last)) {
    // Paper 7: entries after it stay, as they may have been acknowledged.
    commit_to(snapshot.last.index);
  } else if (snapshot.last.index > commit) {
    become_follower(leader_id());  // a candidate's requests told of the former log
    log.restart(snapshot.last, commit);
    hard.led = std::max(hard.led, snapshot.last.term);
    members.restart(snapshot.members, snapshot.members_index);
    commit = handed_out = snapshot.last.index;
    verified = {};
    install = snapshot;
    installs = true;
    out.members_changed = true;
    on_configurations_committed({});
    halt_if_removed();
  }
  // A snapshot is committed and its leader's log contains it, so both logs are equal up to it.
  if (!halted && from == leader_id()) {
    verified = std::max(verified, snapshot.last.index);
    acknowledge(from, snapshot.last.index);
  }
  return installs;
}

}  // namespace iris::raft
