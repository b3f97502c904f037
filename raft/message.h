// The messages between the cores of a cluster: one struct a kind, a variant of them, an envelope.
// Any thread; plain values. src/peers turns them into bytes and checks what comes in.
#pragma once

#include <variant>
#include <vector>

#include "raft/types.h"

namespace iris::raft {

// Pre-vote (thesis 9.6): "would you vote for me in message.term?" No term moves because of it.
struct PreVoteRequest {
  EntryId last;  // of the candidate's log
};
// A refusal carries the voter's own term in the envelope; a grant repeats the asked-for term.
struct PreVoteReply {
  bool granted = false;
};
struct VoteRequest {
  EntryId last;
  bool transfer = false;  // by a leadership transfer: overrides leader stickiness (thesis 4.2.3)
};
struct VoteReply {
  bool granted = false;
};

// Entries are contiguous, the first at prev.index + 1. A request without entries probes the log or
// tells the commit index.
struct AppendRequest {
  EntryId prev;
  Index commit;
  std::vector<EntryPtr> entries;
};
// matched: the follower's log equals the leader's up to `index` and is durable there, as proved by
// requests of this very term (or by a snapshot from its leader). Not matched: `index` is prev.index
// of the refused request, and `hint` the last entry of the follower that may match: the greatest
// index <= prev.index whose term <= prev.term.
struct AppendReply {
  bool matched = false;
  Index index;
  EntryId hint;
};

// Never waits for a disk. `match` is how far the addressee's log is known to be durable and equal
// to the leader's: an addressee whose log ends before it has lost acknowledged entries. `commit` is
// at most `match`.
struct Heartbeat {
  Index commit;
  Index match;
  Round round;
};
// `verified`: how far requests of this term proved the log in memory equal to the leader's; by it
// the leader tells a lost request from a slow disk. `durable`: how much of that is on disk together
// with this term (never more than `verified`); it repeats an acknowledgement that may be lost.
// A node that is no voter by its own log (a learner, or one that its log removes) and hears no
// leader sends it unasked, with round 0, to learn whether it is still a member.
struct HeartbeatReply {
  Round round;
  Index verified;
  Index durable;
};

// Thesis 3.10: "campaign now".
struct TimeoutNow {};

// "You are not a member any more": the sender's committed configuration, of entry `members_index`,
// does not contain the addressee; `commit` is the last entry that the sender knows committed.
// An addressee whose own latest configuration contains it believes that if the configuration is
// superseded: an earlier one, or undone by what was committed. One whose latest configuration does
// not contain it may be a newcomer that still reads entries from before its admission, and the
// sender may not have heard of that admission: it believes only a `certain` sender. Certain is a
// leader that has committed in its term, and a node that has committed in a later term than the
// addressee ever had a leader in, hence knows all that was decided before.
struct RemovalNotice {
  Index members_index;
  bool certain = false;
  EntryId commit;  // at or after members_index
};

using Body = std::variant<PreVoteRequest, PreVoteReply, VoteRequest, VoteReply, AppendRequest,
                          AppendReply, Heartbeat, HeartbeatReply, TimeoutNow, RemovalNotice>;

struct Message {
  NodeId from;
  NodeId to;
  Term term;  // of the sender; in a PreVoteRequest and in a granted reply, the term asked about
  Body body;
};

}  // namespace iris::raft
