// Messages between hosts of the core <-> bytes, and the batches in which all messages travel. Field
// numbers are proto/peer.proto's; the rules of each kind stand beside the lines that parse it.
#include "src/peers/wire.h"

#include <limits>
#include <optional>
#include <utility>

#include "src/peers/wire_parts.h"

namespace iris::wire {
namespace {

// Functions of wire_raft.cc, beside this file's own of the same names.
using wire::over_limit;
using wire::parse;
using wire::write;

// An enum of the wire counts from 0 without gaps.
template <class Enum>
bool take_enum(std::uint64_t number, Enum last, Enum& value) {
  if (number > static_cast<std::uint64_t>(last)) return false;
  value = static_cast<Enum>(number);
  return true;
}

template <class Other>
const char* over_limit(const Other&) {
  return nullptr;
}

// --- One message kind after the other: how it is written, limited, parsed.

void write_fields(ProtoWriter& out, const ForwardRequest& body) {
  out.number(1, body.id);
  out.bytes(2, body.command);
}
const char* over_limit(const ForwardRequest& body) {
  return body.command.size() > command_bytes_max ? "command_bytes_max" : nullptr;
}
Complaint parse(std::string_view bytes, ForwardRequest& body) {
  return walk("ForwardRequest", bytes, [&](ProtoReader& in) -> Complaint {
    if (in.field() == 1) body.id = in.number();
    if (in.field() != 2) return {};
    if (in.bytes().size() > command_bytes_max) {
      return "ForwardRequest: over the limit command_bytes_max";
    }
    body.command = in.bytes();
    return {};
  });
}

void write_fields(ProtoWriter& out, const Outcome& outcome) {
  out.number(1, static_cast<std::uint64_t>(outcome.code));
  out.flag(2, outcome.changed);
  out.number(3, outcome.revision);
}
Complaint parse(std::string_view bytes, Outcome& outcome) {
  return walk("Outcome", bytes, [&](ProtoReader& in) -> Complaint {
    if (in.field() == 1 && !take_enum(in.number(), Outcome::Code::malformed, outcome.code)) {
      return "Outcome: unknown code";
    }
    if (in.field() == 2) outcome.changed = in.flag();
    if (in.field() == 3) outcome.revision = in.number();
    return {};
  });
}

// Sentences are cut when written; a longer one than any build writes is refused.
void write_text(ProtoWriter& out, std::uint32_t field, std::string_view text) {
  out.bytes(field, text.substr(0, text_bytes_max));
}
Complaint parse_text(std::string_view bytes, std::string& text) {
  if (bytes.size() > text_bytes_max) return "a text is over the limit text_bytes_max";
  text = bytes;
  return {};
}

void write_fields(ProtoWriter& out, const ForwardReply& body) {
  out.number(1, body.id);
  out.number(2, static_cast<std::uint64_t>(body.code));
  const std::size_t at = out.open(3);
  write_fields(out, body.outcome);
  out.close(at);
  write_text(out, 4, body.text);
}
Complaint parse(std::string_view bytes, ForwardReply& body) {
  return walk("ForwardReply", bytes, [&](ProtoReader& in) -> Complaint {
    if (in.field() == 1) body.id = in.number();
    if (in.field() == 2 && !take_enum(in.number(), ForwardReply::Code::limit, body.code)) {
      return "ForwardReply: unknown code";
    }
    if (in.field() == 3) return parse(in.bytes(), body.outcome);
    if (in.field() == 4) return parse_text(in.bytes(), body.text);
    return {};
  });
}

void write_fields(ProtoWriter& out, const ReadIndexRequest& body) { out.number(1, body.id); }
Complaint parse(std::string_view bytes, ReadIndexRequest& body) {
  return walk("ReadIndexRequest", bytes, [&](ProtoReader& in) -> Complaint {
    if (in.field() == 1) body.id = in.number();
    return {};
  });
}

void write_fields(ProtoWriter& out, const ReadIndexReply& body) {
  out.number(1, body.id);
  out.flag(2, body.granted);
  out.number(3, body.index.value);
}
Complaint parse(std::string_view bytes, ReadIndexReply& body) {
  Complaint wrong = walk("ReadIndexReply", bytes, [&](ProtoReader& in) -> Complaint {
    if (in.field() == 1) body.id = in.number();
    if (in.field() == 2) body.granted = in.flag();
    if (in.field() == 3) body.index.value = in.number();
    return {};
  });
  // A grant follows the first commit of a term (thesis 6.4), so none has index 0.
  if (wrong.empty() && body.granted && body.index.value == 0) {
    wrong = "ReadIndexReply: granted without an index";
  }
  return wrong;
}

void write_fields(ProtoWriter& out, const AdminRequest& body) {
  out.number(1, body.id);
  out.number(2, static_cast<std::uint64_t>(body.kind));
  out.fixed(3, body.node.value);
  out.bytes(4, body.address);
  out.flag(5, body.force);
}
const char* over_limit(const AdminRequest& body) {
  return body.address.size() > address_bytes_max ? "address_bytes_max" : nullptr;
}
Complaint parse(std::string_view bytes, AdminRequest& body) {
  using Kind = AdminRequest::Kind;
  Complaint wrong = walk("AdminRequest", bytes, [&](ProtoReader& in) -> Complaint {
    if (in.field() == 1) body.id = in.number();
    if (in.field() == 2 && !take_enum(in.number(), Kind::set_address, body.kind)) {
      return "AdminRequest: unknown kind";
    }
    if (in.field() == 3) body.node.value = in.fixed();
    if (in.field() == 4) body.address = in.bytes();
    if (in.field() == 5) body.force = in.flag();
    return {};
  });
  if (!wrong.empty()) return wrong;
  const bool needs_address = body.kind == Kind::join || body.kind == Kind::set_address;
  if (!is_full_address(body.address) && (needs_address || !body.address.empty())) {
    return "AdminRequest: no valid address";
  }
  return {};
}

void write_fields(ProtoWriter& out, const AdminReply& body) {
  out.number(1, body.id);
  out.flag(2, body.ok);
  for (std::size_t number = 0; number < error_numbers.size(); ++number) {
    if (error_numbers[number] == body.code) out.number(3, number);
  }
  write_text(out, 4, body.text);
  out.fixed(5, body.node.value);
}
Complaint parse(std::string_view bytes, AdminReply& body) {
  body.code = error_numbers.front();
  return walk("AdminReply", bytes, [&](ProtoReader& in) -> Complaint {
    if (in.field() == 1) body.id = in.number();
    if (in.field() == 2) body.ok = in.flag();
    if (in.field() == 3) {
      if (in.number() >= error_numbers.size()) return "AdminReply: unknown error";
      body.code = error_numbers[in.number()];
    }
    if (in.field() == 4) return parse_text(in.bytes(), body.text);
    if (in.field() == 5) body.node.value = in.fixed();
    return {};
  });
}

void write_fields(ProtoWriter& out, const SnapshotChunk& body) {
  out.fixed(1, body.transfer);
  write(out, 2, body.mark);
  out.number(3, body.offset);
  out.bytes(4, body.bytes);
  out.flag(5, body.last);
}
const char* over_limit(const SnapshotChunk& body) {
  if (body.bytes.size() > snapshot_chunk_bytes_max) return "snapshot_chunk_bytes_max";
  return over_limit(body.mark.members);
}
Complaint parse(std::string_view bytes, SnapshotChunk& body) {
  Complaint wrong = walk("SnapshotChunk", bytes, [&](ProtoReader& in) -> Complaint {
    if (in.field() == 1) body.transfer = in.fixed();
    if (in.field() == 2) return parse(in.bytes(), body.mark);
    if (in.field() == 3) body.offset = in.number();
    if (in.field() == 5) body.last = in.flag();
    if (in.field() != 4) return {};
    if (in.bytes().size() > snapshot_chunk_bytes_max) {
      return "SnapshotChunk: over the limit snapshot_chunk_bytes_max";
    }
    body.bytes = in.bytes();
    return {};
  });
  if (!wrong.empty()) return wrong;
  if (body.mark.last.index.value == 0) return "SnapshotChunk: no mark";
  if (body.offset > std::numeric_limits<std::uint64_t>::max() - body.bytes.size()) {
    return "SnapshotChunk: offset out of range";
  }
  return {};
}

void write_fields(ProtoWriter& out, const SnapshotAck& body) {
  out.fixed(1, body.transfer);
  out.number(2, body.offset);
  out.flag(3, body.done);
  out.flag(4, body.refused);
  write_text(out, 5, body.text);
}
Complaint parse(std::string_view bytes, SnapshotAck& body) {
  return walk("SnapshotAck", bytes, [&](ProtoReader& in) -> Complaint {
    if (in.field() == 1) body.transfer = in.fixed();
    if (in.field() == 2) body.offset = in.number();
    if (in.field() == 3) body.done = in.flag();
    if (in.field() == 4) body.refused = in.flag();
    return in.field() == 5 ? parse_text(in.bytes(), body.text) : Complaint();
  });
}

void write_hash(ProtoWriter& out, std::uint32_t field, const Hash128& hash) {
  const std::size_t at = out.open(field);
  out.fixed(1, hash.high);
  out.fixed(2, hash.low);
  out.close(at);
}
Complaint parse(std::string_view bytes, Hash128& hash) {
  return walk("Hash128", bytes, [&](ProtoReader& in) -> Complaint {
    if (in.field() == 1) hash.high = in.fixed();
    if (in.field() == 2) hash.low = in.fixed();
    return {};
  });
}

void write_fields(ProtoWriter& out, const StateHashRequest& body) {
  out.number(1, body.id);
  out.number(2, body.index.value);
  out.number(3, body.history_after);
}
Complaint parse(std::string_view bytes, StateHashRequest& body) {
  Complaint wrong = walk("StateHashRequest", bytes, [&](ProtoReader& in) -> Complaint {
    if (in.field() == 1) body.id = in.number();
    if (in.field() == 2) body.index.value = in.number();
    if (in.field() == 3) body.history_after = in.number();
    return {};
  });
  if (wrong.empty() && body.index.value == 0) wrong = "StateHashRequest: no index";
  return wrong;
}

void write_fields(ProtoWriter& out, const StateHashReply& body) {
  out.number(1, body.id);
  out.flag(2, body.passed);
  out.number(3, body.hash.index.value);
  out.number(4, body.hash.purged);
  write_hash(out, 5, body.hash.data);
  if (body.hash.history) write_hash(out, 6, *body.hash.history);
}
Complaint parse(std::string_view bytes, StateHashReply& body) {
  Complaint wrong = walk("StateHashReply", bytes, [&](ProtoReader& in) -> Complaint {
    if (in.field() == 1) body.id = in.number();
    if (in.field() == 2) body.passed = in.flag();
    if (in.field() == 3) body.hash.index.value = in.number();
    if (in.field() == 4) body.hash.purged = in.number();
    if (in.field() == 5) return parse(in.bytes(), body.hash.data);
    if (in.field() == 6) return parse(in.bytes(), body.hash.history.emplace());
    return {};
  });
  if (wrong.empty() && !body.passed && body.hash.index.value == 0) {
    wrong = "StateHashReply: a hash without an index";
  }
  return wrong;
}

void write_fields(ProtoWriter& out, const StateVerdict& body) {
  out.number(1, body.id);
  out.number(2, body.index.value);
  out.number(3, static_cast<std::uint64_t>(body.result));
  write_hash(out, 4, body.data);
  if (body.history) write_hash(out, 5, *body.history);
}
Complaint parse(std::string_view bytes, StateVerdict& body) {
  return walk("StateVerdict", bytes, [&](ProtoReader& in) -> Complaint {
    if (in.field() == 1) body.id = in.number();
    if (in.field() == 2) body.index.value = in.number();
    if (in.field() == 3 &&
        !take_enum(in.number(), StateVerdict::Result::no_majority, body.result)) {
      return "StateVerdict: unknown result";
    }
    if (in.field() == 4) return parse(in.bytes(), body.data);
    if (in.field() == 5) return parse(in.bytes(), body.history.emplace());
    return {};
  });
}

// --- Batches.

// The alternatives of PeerBody are the fields of Message from this one on, in their order.
constexpr std::uint32_t first_body_field = 1;
static_assert(std::variant_size_v<PeerBody> == 13,
              "a new kind of message needs a field in peer.proto, a parser, and a feature level");

Complaint parse(std::string_view bytes, std::optional<PeerBody>& body) {
  Complaint wrong = walk("Message", bytes, [&](ProtoReader& in) {
    return parse_alternative(in.field() - first_body_field, body.emplace(),
                             [&in](auto& kind) { return parse(in.bytes(), kind); });
  });
  if (wrong.empty() && !body.has_value()) wrong = "a message without a body";
  return wrong;
}

Complaint check_ends(const PeerBody& body, raft::NodeId from, raft::NodeId to) {
  const auto* message = std::get_if<raft::Message>(&body);
  if (message == nullptr) return {};
  if (message->from != from) return "Raft: from another node than the connection's";
  if (message->to != to) return "Raft: to another node than this one";
  return {};
}

}  // namespace

Status write(const PeerBody& body, std::string& batch) {
  const char* limit = std::visit([](const auto& kind) { return over_limit(kind); }, body);
  const std::size_t begin = batch.size();
  if (limit == nullptr) {
    ProtoWriter out(batch);
    const std::size_t message = out.open(1);
    const std::size_t kind = out.open(first_body_field + static_cast<std::uint32_t>(body.index()));
    std::visit([&out](const auto& alternative) { write_fields(out, alternative); }, body);
    out.close(kind);
    out.close(message);
    if (batch.size() - begin <= message_bytes_max) return Unit{};
    batch.resize(begin);
    limit = "message_bytes_max";
  }
  return fail(Errc::limit, std::string("a message to a peer is over the limit ") + limit);
}

Status read(std::string_view batch, raft::NodeId from, raft::NodeId to,
            const std::function<bool(PeerBody)>& deliver) {
  bool wanted = true;
  Complaint wrong = walk("Batch", batch, [&](ProtoReader& in) -> Complaint {
    if (in.field() != 1 || !wanted) return {};
    if (in.bytes().size() > message_bytes_max) return "Batch: over the limit message_bytes_max";
    std::optional<PeerBody> body;
    Complaint wrong_message = parse(in.bytes(), body);
    if (wrong_message.empty()) wrong_message = check_ends(*body, from, to);
    if (wrong_message.empty()) wanted = deliver(std::move(*body));
    return wrong_message;
  });
  if (!wrong.empty()) return fail(Errc::invalid_argument, std::move(wrong));
  return Unit{};
}

}  // namespace iris::wire
