// One node's Raft, as a pure state machine: inputs are calls, effects leave through take_output().
// Paper = Ongaro & Ousterhout 2014, thesis = Ongaro 2014.
// One thread. No clock (tick() is its time), no I/O, no entropy but Options.seed; never blocks,
// never calls back. The host may feed any number of inputs before it takes the output.
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
  // election_ticks grants no vote but to a transfer (thesis 4.2.3).
  std::uint32_t election_ticks = 50;       // REQUIRES: > heartbeat_ticks
  std::uint32_t heartbeat_ticks = 5;       // REQUIRES: > 0
  std::uint64_t seed = 1;                  // of election jitter, the only randomness in the core
  std::size_t entry_bytes_max = 8u << 20;  // propose() refuses a larger command (Errc::limit)
  std::size_t append_bytes_max = 1u
                                 << 20;  // of entries in one AppendRequest; one entry may pass it
  std::size_t window_bytes_max = 4u << 20;  // of unacknowledged entries to one follower
  std::size_t window_messages_max = 128;    // of unacknowledged AppendRequests to one follower
  // Of entries that are not committed, or not yet on this disk: propose() refuses past it
  // (Errc::limit).
  std::size_t uncommitted_bytes_max = 64u << 20;
  std::uint64_t promote_lag_entries_max = 1000;  // a learner further behind is not promoted
  // A leader whose own disk kept a ticket waiting this long hands leadership over (0: never).
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
  std::optional<LogWrite> write;  // to the log lane, before anything of a later output
  // Leave once every ticket issued so far is durable: votes, append replies, and vote requests too
  // (a candidate that forgets its vote and the end of its log could win with answers to a longer
  // one).
  std::vector<Message> release;
  std::vector<Message> send;     // leave now: append requests, heartbeats both ways, pre-votes
  std::vector<EntryPtr> commit;  // to apply, in order; never beyond the stable mark
  std::vector<ReadGrant> reads;
  std::vector<NodeId>
      snapshots_wanted;  // host starts a transfer, reports its end with snapshot_sent()
  // Own disk lies, or this node was removed: say it and stop, after the rest of this output is done
  // (`send` tells the others). The core ignores everything from here on.
  std::optional<Error> halt;
  bool dismissed = false;        // with halt: it was removed, which is not a fault
  bool role_changed = false;     // role, term or known leader changed
  bool members_changed = false;  // the latest configuration changed (also by truncation)
};

// --- Membership (thesis chapter 4). Each change appends one configuration, effective on append.
struct AddLearner {
  Member member;
};
// Learner -> voter; with `replaces` that voter leaves in the same joint change.
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
using MemberChange = std::variant<AddLearner, Promote, Remove, SetAddress>;

// One follower or learner as the leader sees it.
struct PeerStatus {
  NodeId id;
  Index match;
  Index next;
  bool active = false;     // answered within the last election_ticks
  bool snapshot = false;   // waits for a snapshot transfer
  bool caught_up = false;  // may be promoted (learners)
};

struct CoreStatus {
  NodeId self;
  NodeId leader;  // 0: unknown
  Role role = Role::follower;
  Term term;
  Index first;  // of the in-memory log; last.next() where it is empty
  Index last;
  Index stable;  // durable here
  Index commit;
  Index applied;
  std::size_t log_bytes = 0;
  Members members;  // latest, effective on append
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

  // First start of a new cluster: appends the configuration {members} as entry (term 1, index 1).
  // REQUIRES: an empty log that never was (floor.last.index 0, no entries, term 0), self in voters.
  void bootstrap(Members members);

  void tick();
  // Takes anything that src/peers/wire lets through; messages for another addressee, from an
  // earlier term or from a stranger are ignored or answered as Raft demands. Never fails on input.
  void step(Message message);

  // Errc::not_leader (also during a transfer), Errc::limit. The entry may still be lost until it
  // comes back in Output.commit under the same id.
  Result<EntryId> propose(Command command);
  // Errc::not_leader, busy (a change is uncommitted, or no entry of this term is committed: thesis
  // 4.1 erratum), refused (says why; `force` overrides only the live-majority rule), not_found,
  // limit (members_per_list_max).
  Result<EntryId> change(const MemberChange& change, bool force = false);
  // Linearizable read (thesis 6.4). Errc::not_leader. Waits by itself for the first commit of the
  // term; answered by exactly one ReadGrant.
  Result<ReadId> read();
  // Hands leadership to `target` (0: the most up-to-date voter; thesis 3.10). Returns who it is.
  // Gives up after election_ticks. Errc::not_leader, busy, refused, not_found.
  Result<NodeId> transfer(NodeId target);
  // Campaign now, as if the election timeout had passed (tests, a lone voter's start).
  void campaign();

  void persisted(Ticket ticket);  // all tickets up to this one are on disk
  void applied(Index index);      // REQUIRES: handed out in Output.commit
  // The host is far behind in applying. While it is, this node acknowledges no entry that it has
  // not applied, so that its leader sends no more than a window past those.
  void lags(bool yes);
  // A snapshot from `from` is staged completely. True: the core answers with LogWrite.install.
  // False: the host drops it, since it is not newer than the commit index, or the log here has all
  // of it (which is committed then).
  bool snapshot_received(const SnapshotMark& mark, NodeId from);
  // A transfer to `id` ended; `mark` is what was sent (ignored where !ok).
  void snapshot_sent(NodeId id, bool ok, EntryId mark);
  // Forget entries up to `floor`. REQUIRES: floor <= applied. Followers below it get a snapshot.
  void trim(Index floor);

  [[nodiscard]] bool has_output() const;
  [[nodiscard]] Output take_output();

  [[nodiscard]] CoreStatus status() const;
  [[nodiscard]] NodeId leader() const;  // 0: unknown
  [[nodiscard]] Role role() const;
  [[nodiscard]] Term term() const;
  [[nodiscard]] Index commit_index() const;
  [[nodiscard]] const Members& members() const;  // latest
  // The configuration in force at `index`, for a snapshot's mark. REQUIRES: floor <= index <= last.
  [[nodiscard]] SnapshotMark mark_at(Index index) const;
  // nullptr where `index` is trimmed or beyond the last entry.
  [[nodiscard]] EntryPtr entry(Index index) const;

  // Every invariant this node alone can check; aborts where one fails. O(log); tests and the
  // simulator call it after every input.
  void check_invariants() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace iris::raft
