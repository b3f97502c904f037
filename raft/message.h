// What the cores of a cluster say to each other: one struct a kind, a variant of them, an envelope.
// Any thread; plain values. src/peers/wire turns them into bytes and checks what comes in.
#pragma once

#include <variant>
#include <vector>

#include "raft/types.h"

namespace iris::raft {

// Pre-vote (thesis 9.6): "would you vote for me in message.term?" Moves nobody's term.
struct PreVoteRequest {
  EntryId last;  // of the candidate's log
};
// A refusal carries the voter's own term in the envelope; a grant repeats the asked-for term.
struct PreVoteReply {
  bool granted = false;
};
struct VoteRequest {
  EntryId last;
  bool transfer = false;  // the old leader asked for it: overrides leader stickiness (thesis 4.2.3)
};
struct VoteReply {
  bool granted = false;
};

// Entries are contiguous, the first at prev.index + 1. An empty one probes or tells the commit
// index.
struct AppendRequest {
  EntryId prev;
  Index commit;
  std::vector<EntryPtr> entries;
};
// matched: the log equals the leader's up to `index`, durably, as proved by requests of this very
// term (or by a snapshot from its leader). Not matched: `index` is prev.index of the refused
// request, and `hint` the last entry of the follower that may match: greatest index <= prev.index
// whose term <= prev.term.
struct AppendReply {
  bool matched = false;
  Index index;
  EntryId hint;
};

// Never waits for a disk. `match` is how far this follower's log is known to be durable and equal
// to the leader's: a follower whose log ends before it has lost what it acknowledged. `commit` is
// at most `match`.
struct Heartbeat {
  Index commit;
  Index match;
  Round round;
};
// `verified`: how far requests of this term proved the log in memory equal to the leader's, so that
// the leader tells a lost request from a slow disk. `durable`: how much of that is on disk together
// with this term (never more than `verified`): an acknowledgement again, should the first be lost.
// Who is no voter by its own log sends it unasked (round 0) when it hears no leader: a learner, or
// one whose log removes it, to learn whether it belongs.
struct HeartbeatReply {
  Round round;
  Index verified;
  Index durable;
};

// Thesis 3.10: "campaign now".
struct TimeoutNow {};

// "You are in no configuration any more": by one whose committed configuration, made at
// `members_index`, does not contain the addressee; `commit` is the last entry it knows committed.
// Believed where the addressee's own latest configuration contains it and is earlier, or is undone
// by what was committed. Where that does not contain it either, it may be a newcomer still reading
// of times before its own, and the sender one that has not heard of it yet: then only who is
// `certain` is believed. Certain is a leader that has committed in its term, and who has committed
// in a later term than the addressee was ever led in, hence all that was decided before.
struct Dismissed {
  Index members_index;
  bool certain = false;
  EntryId commit;  // at or after members_index
};

using Body = std::variant<PreVoteRequest, PreVoteReply, VoteRequest, VoteReply, AppendRequest,
                          AppendReply, Heartbeat, HeartbeatReply, TimeoutNow, Dismissed>;

struct Message {
  NodeId from;
  NodeId to;
  Term term;  // of the sender; in a PreVoteRequest and its grant, the term asked about
  Body body;
};

}  // namespace iris::raft
