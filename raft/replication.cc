// The leader's side of replication: requests to each follower (paper 5.3, thesis 10.2), what their
// answers prove, the commit index (paper 5.3, 5.4.2), and linearizable reads (thesis 6.4).
#include <algorithm>
#include <memory>
#include <string>
#include <utility>

#include "raft/state.h"

namespace iris::raft {

Result<EntryId> Core::State::propose(Command command) {
  Leader* leader = as_leader();
  if (leader == nullptr) return fail(Errc::not_leader, "this node does not lead");
  // Thesis 3.10: entries accepted during a transfer would only delay the target.
  if (leader->transfer) return fail(Errc::not_leader, "leadership is being handed over");
  if (command.size() > options.entry_bytes_max) {
    return fail(Errc::limit, "a command of " + std::to_string(command.size()) +
                                 " bytes is over entry_bytes_max, " +
                                 std::to_string(options.entry_bytes_max));
  }
  const std::size_t bytes = entry_overhead_bytes + command.size();
  // Entries that the other disks committed and this one does not have yet count too: they are in
  // memory as well (hazard 104).
  if (leader->pending_bytes + bytes > options.uncommitted_bytes_max) {
    return fail(Errc::limit, "uncommitted entries would be over uncommitted_bytes_max, " +
                                 std::to_string(options.uncommitted_bytes_max) + " bytes");
  }
  return append_own(std::move(command));
}

// REQUIRES: this node leads.
EntryId Core::State::append_own(Payload payload) {
  Leader* leader = as_leader();
  CHECK(leader != nullptr);
  auto entry =
      std::make_shared<const Entry>(Entry{{hard.term, log.last().next()}, std::move(payload)});
  const EntryId id = entry->id;
  log.append(entry);
  leader->pending_bytes += entry_bytes(*entry);
  leader->replication_due = true;
  if (const Members* next = members_in(*entry)) members_appended(id.index, *next);
  return id;
}

void Core::State::tick_leader(Leader& leader) {
  for (auto& [id, peer] : leader.peers) {
    peer.count_tick();
    if (peer.silent_ticks == options.election_ticks && peer.state == ProgressState::replicate) {
      // Requests on their way count as lost; no more are sent until it is heard again.
      peer.probe(peer.match.next());
      peer.paused = true;
    }
  }
  // Thesis 6.2: a leader that hears no quorum steps down, so that another may lead.
  if (!hears_quorum(leader, configuration())) return become_follower({});
  tick_transfer(leader);
  tick_leaving(leader);
  if (++leader.heartbeat_ticks >= options.heartbeat_ticks) {
    leader.heartbeat_ticks = 0;
    broadcast_heartbeats(leader);
    push_transfer(leader);
  }
}

bool Core::State::hears_quorum(const Leader& leader, const Members& among) const {
  return quorum_tally(among, [&](NodeId id) -> std::optional<bool> {
           if (id == self) return true;
           const auto peer = leader.peers.find(id);
           return peer != leader.peers.end() && is_active(peer->second);
         }) == Tally::won;
}

// Each broadcast is a round of its own: an answer to it proves that its sender still followed this
// leader after the round began.
void Core::State::broadcast_heartbeats(Leader& leader) {
  leader.round = leader.round.next();
  for (auto& [id, peer] : leader.peers) {
    if (!peer.loss_round) {
      peer.loss_round = leader.round;
      peer.loss_sent = peer.sent_to;
    }
    const Index committed_there = std::min(commit, peer.match);
    peer.commit_told = std::max(peer.commit_told, committed_there);
    send(id, Heartbeat{committed_there, peer.match, leader.round});
  }
}

void Core::State::replicate_all(Leader& leader) {
  if (!std::exchange(leader.replication_due, false)) return;
  for (auto& [id, peer] : leader.peers) replicate_to(id, peer);
}

void Core::State::replicate_to(NodeId id, Progress& peer) {
  if (peer.paused) return;
  if (peer.next <= log.floor().index) {
    // The log does not reach back to it (hazard 36). A node that is not heard, or that leaves,
    // is not worth a snapshot.
    if (peer.leaving || !is_active(peer)) {
      peer.probe(peer.next);
      peer.paused = true;
      return;
    }
    peer.wait_for_snapshot();
    out.snapshots_wanted.push_back(id);
    return;
  }
  if (peer.state == ProgressState::probe) {
    send_append(id, peer,
                peer.empty_probe ? peer.next : batch_end(peer.next, options.append_bytes_max));
    peer.paused = true;
    return;
  }
  bool sent = false;
  while (peer.next <= log.last() && peer.window.messages() < options.window_messages_max) {
    const std::size_t bytes_left =
        options.window_bytes_max - std::min(options.window_bytes_max, peer.window.bytes());
    // An entry larger than the whole window travels alone (hazard 40).
    if (!peer.window.empty() && entry_bytes(*log.at(peer.next)) > bytes_left) break;
    send_append(id, peer, batch_end(peer.next, std::min(options.append_bytes_max, bytes_left)));
    sent = true;
  }
  const Index provable{peer.next.value - 1};
  if (!sent && peer.commit_told < std::min(commit, provable)) send_append(id, peer, peer.next);
}

// The index after a batch that begins at `from`: at least one entry, if there is one.
Index Core::State::batch_end(Index from, std::size_t bytes_max) const {
  std::size_t bytes = 0;
  Index end = from;
  while (end <= log.last()) {
    bytes += entry_bytes(*log.at(end));
    if (bytes > bytes_max && end != from) break;
    end = end.next();
  }
  return end;
}

// Sends the entries from peer.next on, up to but not including `end`.
void Core::State::send_append(NodeId id, Progress& peer, Index end) {
  AppendRequest request{log.id_at({peer.next.value - 1}), commit, {}};
  request.entries.reserve(end.value - peer.next.value);
  std::size_t bytes = 0;
  for (Index index = peer.next; index < end; index = index.next()) {
    request.entries.push_back(log.at(index));
    bytes += entry_bytes(*request.entries.back());
  }
  const Index last{end.value - 1};
  peer.commit_told = std::max(peer.commit_told, std::min(commit, last));
  peer.sent_to = std::max(peer.sent_to, last);
  if (peer.state == ProgressState::replicate && !request.entries.empty()) {
    peer.next = end;
    peer.window.push(last, bytes);
  }
  send(id, std::move(request));
}

void Core::State::on_append_reply(Leader& leader, const Message& message,
                                  const AppendReply& reply) {
  const auto found = leader.peers.find(message.from);
  if (found == leader.peers.end()) return;
  Progress& peer = found->second;
  peer.silent_ticks = 0;
  if (reply.matched) return acked(leader, peer, reply.index);
  // A refusal is obsolete unless it answers the one probe under way, or an unproved request.
  if (peer.state == ProgressState::snapshot || reply.index <= peer.match) return;
  if (peer.state == ProgressState::probe && reply.index.next() != peer.next) return;
  // Skips a whole term of either log at a time, so one round a term suffices (paper 5.3).
  const Index common = reply.hint.index < log.floor().index ? reply.hint.index
                                                            : log.last_not_after(reply.hint).index;
  peer.probe(std::min(reply.index, common.next()));
  leader.replication_due = true;
}

void Core::State::on_heartbeat_reply(Leader& leader, const Message& message,
                                     const HeartbeatReply& reply) {
  const auto found = leader.peers.find(message.from);
  if (found == leader.peers.end() || reply.round > leader.round) return;
  Progress& peer = found->second;
  peer.silent_ticks = 0;
  peer.round_acked = std::max(peer.round_acked, reply.round);
  grant_reads(leader);

  const Index verified_there = std::min(reply.verified, log.last());
  const bool is_judged = peer.loss_round && reply.round >= *peer.loss_round;
  if (is_judged) peer.loss_round.reset();
  const bool lost = is_judged && verified_there < peer.loss_sent;
  if (peer.state == ProgressState::replicate && lost) {
    peer.probe(verified_there.next());
    leader.replication_due = true;
  } else if (peer.state == ProgressState::probe && peer.paused &&
             (lost || peer.sent_to == Index{})) {
    peer.probe(std::max(peer.next, verified_there.next()));
    peer.empty_probe = lost;
    leader.replication_due = true;
  }
  if (reply.durable > Index{}) acked(leader, peer, reply.durable);
}

// The follower's log is durable and equal to this one up to `index`, as proved in this term.
void Core::State::acked(Leader& leader, Progress& peer, Index index) {
  if (index > log.last()) return;
  const bool advances = index > peer.match;
  if (advances) {
    peer.match = index;
    peer.window.acked(index);
    peer.next = std::max(peer.next, index.next());
  }
  const bool is_found = peer.state == ProgressState::probe && peer.match.next() >= peer.next;
  const bool is_within_log =
      peer.state == ProgressState::snapshot && peer.match >= log.floor().index;
  if (is_found || is_within_log) {
    peer.replicate();
    leader.replication_due = true;
  }
  if (!advances) return;
  leader.replication_due = true;
  if (peer.match >= peer.catch_up_target) {
    peer.keeps_up = peer.catch_up_ticks < options.election_ticks || peer.match == log.last();
    peer.catch_up_target = log.last();
    peer.catch_up_ticks = 0;
  }
  advance_commit(leader);
  push_transfer(leader);
}

void Core::State::advance_commit(Leader& leader) {
  const Index reached = quorum_value<Index>(configuration(), [&](NodeId id) -> Index {
    if (id == self) return log.stable();  // the leader's disk counts like any other
    const auto peer = leader.peers.find(id);
    return peer != leader.peers.end() ? peer->second.match : Index{};
  });
  // Paper 5.4.2: only entries of its own term are committed by counting.
  if (reached > commit && log.id_at(reached).term == hard.term) commit_to(reached);
}

void Core::State::commit_to(Index index) {
  if (index <= commit) return;
  CHECK(index <= log.last());
  const Index before = std::exchange(commit, index);
  if (Leader* leader = as_leader()) leader->replication_due = true;
  on_configurations_committed(before);
  halt_if_removed();
  continue_change();
}

bool Core::State::committed_own_term() const { return log.id_at(commit).term == hard.term; }

void Core::State::snapshot_sent(NodeId id, bool ok, EntryId last) {
  Leader* leader = as_leader();
  if (leader == nullptr) return;
  const auto found = leader->peers.find(id);
  if (found == leader->peers.end() || found->second.state != ProgressState::snapshot) return;
  // Only an answer proves anything, so `match` stays; the probe after the snapshot asks for one.
  found->second.probe(ok ? last.index.next() : found->second.next);
  // After a failure the probe waits for the next heartbeat reply.
  found->second.paused = !ok;
  leader->replication_due = true;
}

Result<ReadId> Core::State::read() {
  Leader* leader = as_leader();
  if (leader == nullptr) return fail(Errc::not_leader, "this node does not lead");
  last_read = last_read.next();
  leader->reads.add(last_read);
  return last_read;
}

void Core::State::start_reads(Leader& leader) {
  // Thesis 6.4: without one it does not know what its predecessors committed (hazard 73).
  if (!leader.reads.has_unsent() || !committed_own_term()) return;
  broadcast_heartbeats(leader);
  leader.reads.send(leader.round, commit);
  grant_reads(leader);  // an only voter is a quorum
}

void Core::State::grant_reads(Leader& leader) {
  if (leader.reads.empty()) return;
  const Round proved = quorum_value<Round>(configuration(), [&](NodeId id) -> Round {
    if (id == self) return leader.round;
    const auto peer = leader.peers.find(id);
    return peer != leader.peers.end() ? peer->second.round_acked : Round{};
  });
  leader.reads.grant(proved, out.reads);
}

}  // namespace iris::raft
