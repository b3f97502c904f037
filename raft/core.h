// One node's Raft, as a pure state machine: inputs are calls, effects leave through take_output().
// Paper = Ongaro & Ousterhout 2014, thesis = Ongaro 2014.
// One thread. No clock (tick() is its time), no I/O, no randomness but Options.seed; never blocks,
// never calls back. Owns the log in memory. Input never aborts it; it halts (Output.halt) instead.
// The host may feed any number of inputs before it takes the output.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "raft/message.h"
#include "raft/result.h"
#include "raft/types.h"

namespace iris::raft {

struct Options {
  // An election timeout is drawn from [election_ticks, 2 * election_ticks) (paper 5.2). A leader
  // that heard no quorum for election_ticks steps down; a follower that heard its leader within
  // election_ticks grants a vote only for a leadership transfer (thesis 4.2.3).
  std::uint32_t election_ticks = 50;       // REQUIRES: > heartbeat_ticks
  std::uint32_t heartbeat_ticks = 5;       // REQUIRES: > 0
  std::uint64_t seed = 1;                  // of the election timeouts, the only randomness
  std::size_t entry_bytes_max = 8u << 20;  // propose() refuses a larger command (Errc::limit)
  // Of the entries in one AppendRequest; a single larger entry travels alone.
  std::size_t append_bytes_max = 1u << 20;
  std::size_t window_bytes_max = 4u << 20;  // of unacknowledged entries to one follower
  std::size_t window_messages_max = 128;    // of unacknowledged AppendRequests to one follower
  // Of entries not committed, or not yet on this disk; propose() refuses past it (Errc::limit).
  std::size_t uncommitted_bytes_max = 64u << 20;
  std::uint64_t promote_lag_entries_max = 1000;  // a learner further behind is not promoted
  // A leader whose disk has left a ticket open for so long transfers leadership (0: never).
  std::uint32_t disk_stall_ticks = 200;
};

enum class Role { follower, precandidate, candidate, leader };

struct ReadGrant {
  ReadId id;
  bool granted = false;  // false: leadership was lost; the read was not served, safe to retry
  Index index;           // serve from state applied up to here or further
};

// Everything the host must do, in any order the fields' comments allow.
struct Output {
  std::optional<LogWrite> write;  // to the log lane, before the write of any later output
  // To send once every ticket issued so far is durable: votes, append replies, and vote requests (a
  // candidate that crashed and lost its last entries could win by answers to an earlier request).
  std::vector<Message> release;
  std::vector<Message> send;     // to send now: append requests, heartbeats both ways, pre-votes
  std::vector<EntryPtr> commit;  // to apply, in order; never beyond the stable index
  std::vector<ReadGrant> reads;
  // Followers that need a snapshot: the host starts a transfer, its end is told by snapshot_sent().
  std::vector<NodeId> snapshots_wanted;
  // This node was removed, or its disk lost acknowledged writes: the host logs it and stops once
  // the rest of this output is done. The core ignores all further input.
  std::optional<Error> halt;
  bool removed = false;          // with halt: a removal, which is not a fault
  bool role_changed = false;     // role, term or known leader changed
  bool members_changed = false;  // the latest configuration changed (also by truncation)
};

// --- Membership (thesis chapter 4). A change appends a configuration, in force from the append.
struct AddLearner {
  Member member;
};
// Learner to voter; with `replaces`, that voter leaves in the same joint change.
struct Promote {
  NodeId id;
  std::optional<NodeId> replaces;
};
struct Remove {
  NodeId id;
};  // voter or learner; may be the leader itself
struct SetAddress {
  NodeId id;
  std::string address;
};
// All members know this level: the host has asked them. Refused where it is not above the present.
struct RaiseLevel {
  Level level;
};
using MemberChange = std::variant<AddLearner, Promote, Remove, SetAddress, RaiseLevel>;

// One follower or learner as its leader sees it.
struct PeerStatus {
  NodeId id;
  Index match;
  Index next;
  bool active = false;     // answered within the last election_ticks
  bool snapshot = false;   // waits for the end of a snapshot transfer
  bool caught_up = false;  // may be promoted (learners)
};

// A copy of everything a person may ask about. One question alone has a function of Core.
struct CoreStatus {
  NodeId self;
  NodeId leader;  // 0: unknown
  Role role = Role::follower;
  Term term;
  Index first;  // of the in-memory log; last.next() where it is empty
  Index last;
  Index stable;  // of the last entry that is durable here
  Index commit;
  Index applied;
  std::size_t log_bytes = 0;
  Members members;  // latest, committed or not
  Index members_index;
  Index members_committed_index;  // of the latest committed configuration
  bool was_member = false;        // a committed configuration contained this node
  std::vector<PeerStatus> peers;  // on a leader; else empty
  NodeId transfer_target;         // 0: none under way
};

class Core {
 public:
  // REQUIRES: recovered.entries contiguous after recovered.floor; see types.h.
  Core(Options options, Recovered recovered);
  ~Core();
  Core(Core&&) noexcept;
  Core(const Core&) = delete;
  Core& operator=(const Core&) = delete;
  Core& operator=(Core&&) = delete;

  // First start of a new cluster: appends `members` as entry (term 1, index 1).
  // REQUIRES: a new node (floor.last.index 0, no entries, term 0) that is one of the voters.
  void bootstrap(Members members);

  void tick();
  // Accepts whatever the wire format can carry: messages for another addressee, of an earlier term
  // or from a non-member are ignored or answered as Raft demands.
  void step(Message message);

  // Errc::not_leader (also during a transfer), Errc::limit. The entry is safe once it comes back in
  // Output.commit under the same id; until then it may be lost.
  Result<EntryId> propose(Command command);
  // Errc::not_leader, busy (a change is uncommitted, or no entry of this term is committed: thesis
  // 4.1 erratum), refused (says why; `force` overrides only the live-majority rule), not_found,
  // limit (members_per_list_max).
  Result<EntryId> change(const MemberChange& change, bool force = false);
  // Linearizable read (thesis 6.4), answered by exactly one ReadGrant; waits for the first commit
  // of the term where there is none yet. Errc::not_leader.
  Result<ReadId> read();
  // Transfers leadership to `target` (thesis 3.10) and returns the target. 0: the best voter that
  // is not among `unreachable`, and the next one where that falls silent. Given up after
  // election_ticks. Errc::not_leader, busy, refused, not_found.
  Result<NodeId> transfer(NodeId target, std::vector<NodeId> unreachable = {});
  // Campaigns now, as if the election timeout had passed (tests, the start of an only voter).
  void campaign();

  void persisted(Ticket ticket);  // all tickets up to this one are on disk
  void applied(Index index);      // REQUIRES: handed out in Output.commit
  // While the host lags in applying, this node acknowledges only applied entries: its leader sends
  // at most a window past those, which bounds the memory of a slow node.
  void set_lagging(bool lagging);
  // A snapshot from `from` is staged completely. True: the core answers with LogWrite.install.
  // False: the host drops it, as it is not newer than the commit index, or the log here has all of
  // it (which is committed then).
  bool snapshot_received(const SnapshotMetadata& snapshot, NodeId from);
  // A transfer to `id` ended; `last` is the last entry of what was sent (ignored where !ok).
  void snapshot_sent(NodeId id, bool ok, EntryId last);
  // Drops entries up to `floor`. REQUIRES: floor <= applied. Followers below it get a snapshot.
  void trim(Index floor);

  [[nodiscard]] bool has_output() const;
  [[nodiscard]] Output take_output();

  // --- Questions.
  [[nodiscard]] CoreStatus status() const;  // for people and tests: copies all of it
  [[nodiscard]] NodeId leader() const;      // 0: unknown
  [[nodiscard]] Role role() const;
  [[nodiscard]] Term term() const;
  [[nodiscard]] Index commit_index() const;
  [[nodiscard]] Index last_index() const;        // of the log, durable or not
  [[nodiscard]] std::size_t log_bytes() const;   // of the entries in memory
  [[nodiscard]] const Members& members() const;  // latest, committed or not
  [[nodiscard]] Index members_index() const;     // of the entry that made members()
  // In force at `index`, the entry there included. REQUIRES: floor <= index.
  [[nodiscard]] Level level_at(Index index) const;
  [[nodiscard]] bool members_settled() const;    // committed and not joint: no change is under way
  [[nodiscard]] bool was_member() const;         // a committed configuration contained this node
  [[nodiscard]] NodeId transfer_target() const;  // 0: no transfer is under way here
  [[nodiscard]] std::vector<PeerStatus> peers() const;  // of a leader, in order of id; else empty
  // Itself, or a member that answered this leader within the last election_ticks.
  [[nodiscard]] bool hears(NodeId id) const;
  // The first learner that has caught up and may be promoted; 0: none, or this node does not lead.
  [[nodiscard]] NodeId promotable_learner() const;
  // What a snapshot of the state at `index` says of itself. REQUIRES: floor <= index <= last.
  [[nodiscard]] SnapshotMetadata snapshot_metadata_at(Index index) const;
  // nullptr where `index` is trimmed or beyond the last entry.
  [[nodiscard]] EntryPtr entry(Index index) const;

  // CHECKs every invariant of one node by itself. O(entries in memory): tests and the simulator
  // call it after every input, production never.
  void check_invariants() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace iris::raft
