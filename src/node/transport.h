// Transport: how a node reaches its peers. Two implementations: src/peers (TCP, TLS) and the
// simulator's network. Loop thread. May lose, delay and reorder between connections; what arrives
// is whole, checked, and from the node it names; nothing but a raft::Message ever arrives twice.
// Never blocks; queues per peer are bounded in bytes and drop the newest when full (Raft sends
// again).
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <variant>
#include <vector>

#include "raft/message.h"
#include "raft/result.h"
#include "src/machine/machine.h"

namespace iris {

// A command for whoever leads. `id` is the asking node's, unique in its life.
struct ForwardRequest {
  std::uint64_t id = 0;
  std::string command;
};
// What became of it. not_proposed: safe to send again elsewhere. The rest is final.
struct ForwardReply {
  enum class Code : std::uint8_t { done = 0, not_proposed = 1, unknown = 2, limit = 3 };
  std::uint64_t id = 0;
  Code code = Code::done;
  Outcome outcome;   // with done
  std::string text;  // with limit
};
struct ReadIndexRequest {
  std::uint64_t id = 0;
};
struct ReadIndexReply {
  std::uint64_t id = 0;
  bool granted = false;
  raft::Index index;
};
// An admin call for whoever leads: a membership change, a transfer, a join.
struct AdminRequest {
  enum class Kind : std::uint8_t {
    join = 0,
    remove = 1,
    promote = 2,
    transfer = 3,
    set_address = 4
  };
  std::uint64_t id = 0;
  Kind kind = Kind::join;
  raft::NodeId node;    // of whom it speaks (0 in a join: the leader asks the address)
  std::string address;  // raft address: join, set_address
  bool force = false;
};
struct AdminReply {
  std::uint64_t id = 0;
  bool ok = false;
  Errc code = Errc::refused;  // where !ok
  std::string text;
  raft::NodeId node;  // of whom it was done
};
// What the nodes tell the leader of the sessions they serve (expiry is the leader's).
struct SessionsServed {
  std::vector<std::string> sessions;
};
// One piece of a snapshot stream, stop-and-wait by window: offset counts bytes from the beginning.
struct SnapshotChunk {
  std::uint64_t transfer = 0;  // random, names this attempt
  raft::SnapshotMark mark;
  std::uint64_t offset = 0;
  std::string bytes;
  bool last = false;
};
struct SnapshotAck {
  std::uint64_t transfer = 0;
  std::uint64_t offset = 0;  // bytes staged so far
  bool done = false;         // complete, checked, installed
  bool refused = false;      // begin again or stop; the text says why
  std::string text;
};

using PeerBody =
    std::variant<raft::Message, ForwardRequest, ForwardReply, ReadIndexRequest, ReadIndexReply,
                 AdminRequest, AdminReply, SessionsServed, SnapshotChunk, SnapshotAck>;
struct PeerMessage {
  raft::NodeId from;
  PeerBody body;
};

// Who answers at an address.
struct PeerIdentity {
  raft::NodeId node;
  raft::ClusterId cluster;  // 0: none yet
  std::string address;      // as it calls itself (raft address)
};

class Transport {
 public:
  virtual ~Transport() = default;
  // Everybody this node may talk to. Connections to others are closed.
  virtual void set_peers(const std::vector<raft::Member>& peers) = 0;
  virtual void send(raft::NodeId to, PeerBody body) = 0;
  // Dials `address`, learns who is there, hangs up. Bounded by a time limit of the implementation.
  virtual void probe(const std::string& address,
                     std::function<void(Result<PeerIdentity>)> done) = 0;
  // false: nothing that is sent now would reach it soon, and what must not be sent for nothing (a
  // command, whose fate would then be unknown) had better wait.
  // Who cannot tell says true.
  [[nodiscard]] virtual bool connected(raft::NodeId) const { return true; }
  // Bytes queued towards `to` and not yet given to the kernel (snapshot pacing).
  [[nodiscard]] virtual std::size_t queued_bytes(raft::NodeId to) const = 0;
};

}  // namespace iris
