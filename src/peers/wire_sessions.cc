// How long sessions live <-> bytes. Field numbers are proto/peer.proto's.
#include <string>
#include <string_view>
#include <vector>

#include "src/peers/wire.h"
#include "src/peers/wire_parts.h"

namespace iris::wire {
namespace {

// Checks one session's name, and counts it: all lists of a message share one limit.
Complaint count_session(std::string_view session, std::size_t& sessions) {
  if (session.empty()) return "SessionsServed: an empty session";
  if (session.size() > session_bytes_max) {
    return "SessionsServed: over the limit session_bytes_max";
  }
  if (++sessions > sessions_per_message_max) {
    return "SessionsServed: over the limit sessions_per_message_max";
  }
  return {};
}

// --- SilentSession, SilentNode.

void write(ProtoWriter& out, std::uint32_t field, const SilentSession& silent) {
  const std::size_t at = out.open(field);
  out.bytes(1, silent.session);
  out.number(2, silent.silent_ms);
  out.close(at);
}

Complaint add_silent(std::string_view bytes, std::vector<SilentSession>& list,
                     std::size_t& sessions) {
  std::string_view name;
  std::uint64_t silent_ms = 0;
  Complaint wrong = walk("SilentSession", bytes, [&](ProtoReader& in) -> Complaint {
    if (in.field() == 1) name = in.bytes();
    if (in.field() == 2) silent_ms = in.number();
    return {};
  });
  if (wrong.empty()) wrong = count_session(name, sessions);
  if (wrong.empty()) list.push_back({std::string(name), silent_ms});
  return wrong;
}

void write(ProtoWriter& out, std::uint32_t field, const SilentNode& silent) {
  const std::size_t at = out.open(field);
  out.fixed(1, silent.node.value);
  out.number(2, silent.silent_ms);
  out.close(at);
}

Complaint add_node(std::string_view bytes, std::vector<SilentNode>& list) {
  SilentNode silent;
  Complaint wrong = walk("SilentNode", bytes, [&](ProtoReader& in) -> Complaint {
    if (in.field() == 1) silent.node.value = in.fixed();
    if (in.field() == 2) silent.silent_ms = in.number();
    return {};
  });
  if (wrong.empty() && silent.node.value == 0) wrong = "SilentNode: no node id";
  if (wrong.empty() && list.size() == silent_nodes_max) {
    wrong = "LeaseChanges: over the limit silent_nodes_max";
  }
  if (wrong.empty()) list.push_back(silent);
  return wrong;
}

// --- Changes.

Complaint check_range(const char* kind, raft::Term term, std::uint64_t after, std::uint64_t up_to) {
  if (term.value == 0) return std::string(kind) + ": no term";
  if (after > up_to) return std::string(kind) + ": changes in the wrong order";
  return {};
}

void write_fields(ProtoWriter& out, const ServedChanges& changes) {
  out.number(1, changes.term.value);
  out.fixed(2, changes.life);
  out.number(3, changes.after);
  out.number(4, changes.up_to);
  out.flag(5, changes.latest);
  for (const SilentSession& silent : changes.ended) write(out, 6, silent);
  out.number(7, changes.sent);
  out.number(8, changes.known);
  out.flag(9, changes.missed);
}

Complaint parse(std::string_view bytes, ServedChanges& changes, std::size_t& sessions) {
  Complaint wrong = walk("ServedChanges", bytes, [&](ProtoReader& in) -> Complaint {
    if (in.field() == 1) changes.term.value = in.number();
    if (in.field() == 2) changes.life = in.fixed();
    if (in.field() == 3) changes.after = in.number();
    if (in.field() == 4) changes.up_to = in.number();
    if (in.field() == 5) changes.latest = in.flag();
    if (in.field() == 6) return add_silent(in.bytes(), changes.ended, sessions);
    if (in.field() == 7) changes.sent = in.number();
    if (in.field() == 8) changes.known = in.number();
    if (in.field() == 9) changes.missed = in.flag();
    return {};
  });
  if (wrong.empty()) {
    wrong = check_range("ServedChanges", changes.term, changes.after, changes.up_to);
  }
  return wrong;
}

void write_fields(ProtoWriter& out, const LeaseChanges& changes) {
  out.number(1, changes.term.value);
  out.number(2, changes.after);
  out.number(3, changes.up_to);
  out.flag(4, changes.latest);
  for (const SilentSession& silent : changes.silent) write(out, 5, silent);
  for (const std::string& session : changes.served) out.present(6, session);
  for (const SilentNode& silent : changes.nodes) write(out, 7, silent);
  out.fixed(8, changes.life);
  out.number(9, changes.known);
  out.flag(10, changes.missed);
  out.number(11, changes.sent);
}

Complaint parse(std::string_view bytes, LeaseChanges& changes, std::size_t& sessions) {
  Complaint wrong = walk("LeaseChanges", bytes, [&](ProtoReader& in) -> Complaint {
    if (in.field() == 1) changes.term.value = in.number();
    if (in.field() == 2) changes.after = in.number();
    if (in.field() == 3) changes.up_to = in.number();
    if (in.field() == 4) changes.latest = in.flag();
    if (in.field() == 5) return add_silent(in.bytes(), changes.silent, sessions);
    if (in.field() == 6) {
      Complaint bad = count_session(in.bytes(), sessions);
      if (bad.empty()) changes.served.emplace_back(in.bytes());
      return bad;
    }
    if (in.field() == 7) return add_node(in.bytes(), changes.nodes);
    if (in.field() == 8) changes.life = in.fixed();
    if (in.field() == 9) changes.known = in.number();
    if (in.field() == 10) changes.missed = in.flag();
    if (in.field() == 11) changes.sent = in.number();
    return {};
  });
  if (wrong.empty()) {
    wrong = check_range("LeaseChanges", changes.term, changes.after, changes.up_to);
  }
  return wrong;
}

// Counts what the limits of a message are about.
struct Sum {
  std::size_t sessions = 0;
  std::size_t bytes = 0;
  bool too_long = false;

  void add(std::string_view session) {
    ++sessions;
    bytes += session.size();
    too_long = too_long || session.size() > session_bytes_max;
  }
};

}  // namespace

void write_fields(ProtoWriter& out, const SessionsServed& body) {
  for (const std::string& session : body.sessions) out.present(1, session);
  if (body.changes) {
    const std::size_t at = out.open(2);
    write_fields(out, *body.changes);
    out.close(at);
  }
  if (body.leases) {
    const std::size_t at = out.open(3);
    write_fields(out, *body.leases);
    out.close(at);
  }
}

const char* over_limit(const SessionsServed& body) {
  Sum sum;
  for (const std::string& session : body.sessions) sum.add(session);
  if (body.changes) {
    for (const SilentSession& silent : body.changes->ended) sum.add(silent.session);
  }
  if (body.leases) {
    for (const SilentSession& silent : body.leases->silent) sum.add(silent.session);
    for (const std::string& session : body.leases->served) sum.add(session);
    if (body.leases->nodes.size() > silent_nodes_max) return "silent_nodes_max";
  }
  if (sum.sessions > sessions_per_message_max) return "sessions_per_message_max";
  if (sum.too_long) return "session_bytes_max";
  return sum.bytes > message_bytes_max ? "message_bytes_max" : nullptr;
}

Complaint parse(std::string_view bytes, SessionsServed& body) {
  std::size_t sessions = 0;
  return walk("SessionsServed", bytes, [&](ProtoReader& in) -> Complaint {
    if (in.field() == 1) {
      Complaint wrong = count_session(in.bytes(), sessions);
      if (wrong.empty()) body.sessions.emplace_back(in.bytes());
      return wrong;
    }
    if (in.field() == 2) return parse(in.bytes(), body.changes.emplace(), sessions);
    if (in.field() == 3) return parse(in.bytes(), body.leases.emplace(), sessions);
    return {};
  });
}

}  // namespace iris::wire
