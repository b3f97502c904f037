// Peer messages: everything that a node says to another one, as values. Their bytes are those of
// proto/peer.proto, written and read by src/peers/wire.h.
// Any thread; plain values. An `id` is chosen by the node that asks and is unique within one life
// of it; the reply repeats it, and a reply whose id does not match is ignored.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "raft/message.h"
#include "raft/result.h"
#include "src/listeners/lease_messages.h"
#include "src/machine/machine.h"
#include "src/machine/state_hash.h"

namespace iris {

// A client's command for the leader.
struct ForwardRequest {
  std::uint64_t id = 0;
  std::string command;  // encoded (src/machine/command.h)
};
struct ForwardReply {
  // Numbers are on the wire: never reuse one. Only not_proposed may be sent again; each other code
  // is final.
  enum class Code : std::uint8_t { done = 0, not_proposed = 1, unknown = 2, limit = 3 };
  std::uint64_t id = 0;
  Code code = Code::done;
  Outcome outcome;   // with done
  std::string text;  // with limit
};

// A read index (thesis 6.4) for the reads of a follower.
struct ReadIndexRequest {
  std::uint64_t id = 0;
};
struct ReadIndexReply {
  std::uint64_t id = 0;
  bool granted = false;  // false: the node that was asked does not lead, or has too many askers
  raft::Index index;     // where granted
};

// An administrative call for the leader: a change of the configuration or a transfer of leadership.
struct AdminRequest {
  // Numbers are on the wire: never reuse one.
  enum class Kind : std::uint8_t {
    join = 0,
    remove = 1,
    promote = 2,
    transfer = 3,
    set_address = 4
  };
  std::uint64_t id = 0;
  Kind kind = Kind::join;
  raft::NodeId node;    // the subject; 0 in a join (the leader asks the address) and where a
                        // transfer may choose its target
  std::string address;  // raft address, host:port: join, set_address
  bool force = false;   // see raft::Core::change()
};
struct AdminReply {
  std::uint64_t id = 0;
  bool ok = false;
  Errc code = Errc::refused;  // where !ok
  std::string text;           // where !ok
  raft::NodeId node;          // where ok: the subject, or the leader after a transfer
};

// One piece of a snapshot.
struct SnapshotChunk {
  std::uint64_t transfer = 0;  // names one attempt
  raft::SnapshotMetadata mark;
  std::uint64_t offset = 0;  // of the first byte, from the beginning of the snapshot
  std::string bytes;
  bool last = false;
};
struct SnapshotAck {
  std::uint64_t transfer = 0;
  std::uint64_t offset = 0;  // bytes staged so far
  bool done = false;         // complete, checked and installed, or not needed any more
  bool refused = false;      // this attempt is over; `text` says why
  std::string text;
};

// --- A check whether all members have the same data (state_check.h): from level 1 on.

// The leader asks for the hash of the state at one index.
struct StateHashRequest {
  std::uint64_t id = 0;
  raft::Index index;
  std::uint64_t history_after = 0;  // a revision (StateHasher)
};
struct StateHashReply {
  std::uint64_t id = 0;
  bool passed = false;  // this node cannot tell any more: it has applied more than that
  StateHash hash;       // else
};
// The leader tells a member that answered how the check ended.
struct StateVerdict {
  // Numbers are on the wire: never reuse one.
  enum class Result : std::uint8_t {
    equal = 0,        // the receiver's hash is that of a majority
    odd = 1,          // a majority has another one
    no_majority = 2,  // members differ, and no hash is that of a majority
  };
  std::uint64_t id = 0;
  raft::Index index;
  Result result = Result::equal;
  Hash128 data;                    // of the majority; 0 with no_majority
  std::optional<Hash128> history;  // of the majority, where that could be compared
};

using PeerBody =
    std::variant<raft::Message, ForwardRequest, ForwardReply, ReadIndexRequest, ReadIndexReply,
                 AdminRequest, AdminReply, SessionsServed, SnapshotChunk, SnapshotAck,
                 StateHashRequest, StateHashReply, StateVerdict>;
struct PeerMessage {
  raft::NodeId from;
  PeerBody body;
};

// What a node says of itself when a connection begins.
struct PeerIdentity {
  raft::NodeId node;
  raft::ClusterId cluster;      // 0: none yet
  std::string address;          // its own raft address, host:port
  raft::Level level{};          // the highest that its build knows; 0: a build from before levels
  raft::Level cluster_level{};  // in force at the last entry that it has applied
};

// Errc::unimplemented, with a sentence for both logs, where one of the two lacks a level that the
// other's cluster has reached: an older build would give the log another meaning.
[[nodiscard]] Status check_levels(const PeerIdentity& self, const PeerIdentity& peer);

}  // namespace iris
