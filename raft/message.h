// What the cores of a cluster say to each other: one struct a kind, a variant of them, an envelope.
// Any thread; plain values. src/wire turns them into bytes and checks what comes in.
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
// matched: the log equals the leader's up to `index`, durably, as proved by this very request.
// Not matched: `index` is prev.index of the refused request, and `hint` the last entry of the
// follower that may match: greatest index <= prev.index whose term <= prev.term.
struct AppendReply {
  bool matched = false;
  Index index;
  EntryId hint;
};

// Never waits for a disk. `commit` is at most what this follower is known to match.
struct Heartbeat {
  Index commit;
  Round round;
};
struct HeartbeatReply {
  Round round;
};

// Thesis 3.10: "campaign now".
struct TimeoutNow {};

// "You are in no configuration any more": by one whose committed configuration, made at
// `members_index`, does not contain the addressee. Believed only where that is later than the
// addressee's own latest configuration.
struct Dismissed {
  Index members_index;
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
