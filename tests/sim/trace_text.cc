// How messages look in a trace.
#include <string>

#include "tests/sim/ghost.h"
#include "tests/sim/network.h"

namespace iris::sim {
namespace {

std::string number(std::uint64_t value) { return std::to_string(value); }

struct RaftText {
  std::string operator()(const raft::PreVoteRequest& body) const {
    return "pre-vote? last " + to_text(body.last);
  }
  std::string operator()(const raft::PreVoteReply& body) const {
    return body.granted ? "pre-vote yes" : "pre-vote no";
  }
  std::string operator()(const raft::VoteRequest& body) const {
    return "vote? last " + to_text(body.last) + (body.transfer ? " (transfer)" : "");
  }
  std::string operator()(const raft::VoteReply& body) const {
    return body.granted ? "vote yes" : "vote no";
  }
  std::string operator()(const raft::AppendRequest& body) const {
    return "append after " + to_text(body.prev) + " x" + number(body.entries.size()) + " commit " +
           number(body.commit.value);
  }
  std::string operator()(const raft::AppendReply& body) const {
    return body.matched ? "matches " + number(body.index.value)
                        : "refuses " + number(body.index.value) + " hint " + to_text(body.hint);
  }
  std::string operator()(const raft::Heartbeat& body) const {
    return "beat commit " + number(body.commit.value) + " match " + number(body.match.value) +
           " round " + number(body.round.value);
  }
  std::string operator()(const raft::HeartbeatReply& body) const {
    return "beat back round " + number(body.round.value) + " verified " +
           number(body.verified.value) + " durable " + number(body.durable.value);
  }
  std::string operator()(const raft::TimeoutNow&) const { return "campaign now"; }
  std::string operator()(const raft::RemovalNotice& body) const {
    return "dismissed by " + number(body.members_index.value);
  }
};

// Of ServedChanges or LeaseChanges.
template <class Changes>
std::string span_text(const Changes& changes) {
  return number(changes.after) + ".." + number(changes.up_to) +
         (changes.latest ? " (latest)" : "") + (changes.missed ? " (missed)" : "");
}

std::string silent_text(const std::vector<SilentSession>& sessions) {
  std::string text;
  for (const SilentSession& each : sessions) {
    text += " -" + each.session + " " + number(each.silent_ms);
  }
  return text;
}

struct PeerText {
  std::string operator()(const raft::Message& body) const {
    return "t" + number(body.term.value) + " " + std::visit(RaftText{}, body.body);
  }
  std::string operator()(const ForwardRequest& body) const { return "forward " + number(body.id); }
  std::string operator()(const ForwardReply& body) const {
    return "forwarded " + number(body.id) + " code " + number(static_cast<unsigned>(body.code));
  }
  std::string operator()(const ReadIndexRequest& body) const {
    return "read index? " + number(body.id);
  }
  std::string operator()(const ReadIndexReply& body) const {
    return "read index " + number(body.id) +
           (body.granted ? " is " + number(body.index.value) : " refused");
  }
  std::string operator()(const AdminRequest& body) const {
    return "admin kind " + number(static_cast<unsigned>(body.kind)) + " node " +
           to_text(body.node) + " " + body.address;
  }
  std::string operator()(const AdminReply& body) const {
    return body.ok ? "admin done" : "admin refused: " + body.text;
  }
  std::string operator()(const SessionsServed& body) const {
    std::string text = "serves" + to_text(body.sessions);
    if (body.changes) {
      text += " changes " + span_text(*body.changes) + silent_text(body.changes->ended);
    }
    if (!body.leases) return text;
    return "leases " + span_text(*body.leases) + " served" + to_text(body.leases->served) +
           silent_text(body.leases->silent);
  }
  std::string operator()(const SnapshotChunk& body) const {
    return "snapshot " + to_text(body.mark.last) + " from byte " + number(body.offset) + " +" +
           number(body.bytes.size()) + (body.last ? " (last)" : "");
  }
  std::string operator()(const SnapshotAck& body) const {
    return "snapshot staged " + number(body.offset) + (body.done ? " done" : "") +
           (body.refused ? " refused: " + body.text : "");
  }
  std::string operator()(const StateHashRequest& body) const {
    return "hash? at " + number(body.index.value) + " history after " + number(body.history_after);
  }
  std::string operator()(const StateHashReply& body) const {
    if (body.passed) return "hash passed";
    return "hash at " + number(body.hash.index.value) + " is " + hex_text(body.hash.data) +
           (body.hash.history ? ", history " + hex_text(*body.hash.history) : "");
  }
  std::string operator()(const StateVerdict& body) const {
    return "hash at " + number(body.index.value) + " judged " +
           number(static_cast<unsigned>(body.result));
  }
};

}  // namespace

std::string to_text(const PeerBody& body) { return std::visit(PeerText{}, body); }

}  // namespace iris::sim
