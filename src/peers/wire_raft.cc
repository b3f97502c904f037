// Messages between cores <-> bytes. Field numbers are proto/peer.proto's; the rules of each kind
// stand beside the lines that parse it.
#include <limits>
#include <memory>
#include <utility>

#include "raft/members.h"
#include "src/peers/wire.h"
#include "src/peers/wire_parts.h"

namespace iris::wire {
namespace {

// --- Nouns, written.

void write(ProtoWriter& out, std::uint32_t field, const raft::EntryId& id) {
  const std::size_t at = out.open(field);
  out.number(1, id.term.value);
  out.number(2, id.index.value);
  out.close(at);
}

void write(ProtoWriter& out, std::uint32_t field, const std::vector<raft::Member>& list) {
  for (const raft::Member& member : list) {
    const std::size_t at = out.open(field);
    out.fixed(1, member.id.value);
    out.bytes(2, member.address);
    out.close(at);
  }
}

void write(ProtoWriter& out, std::uint32_t field, const raft::Members& members) {
  const std::size_t at = out.open(field);
  write(out, 1, members.voters);
  write(out, 2, members.outgoing);
  write(out, 3, members.learners);
  out.number(4, members.level.value);
  out.close(at);
}

// From level 1 on a configuration is a field of its own, which a build from before levels refuses
// instead of passing over the level.
std::uint32_t field_of(const raft::Members& members, std::uint32_t plain, std::uint32_t levelled) {
  return members.level == raft::Level{} ? plain : levelled;
}

void write(ProtoWriter& out, std::uint32_t field, const raft::Entry& entry) {
  const std::size_t at = out.open(field);
  out.number(1, entry.id.term.value);
  out.number(2, entry.id.index.value);
  if (const auto* command = std::get_if<raft::Command>(&entry.payload)) {
    out.present(4, *command);
  } else if (const auto* members = std::get_if<raft::Members>(&entry.payload)) {
    write(out, field_of(*members, 5, 6), *members);
  } else {
    out.present(3, {});
  }
  out.close(at);
}

// --- Nouns, parsed.

Complaint parse(std::string_view bytes, raft::EntryId& id) {
  Complaint wrong = walk("EntryId", bytes, [&](ProtoReader& in) -> Complaint {
    if (in.field() == 1) id.term.value = in.number();
    if (in.field() == 2) id.index.value = in.number();
    return {};
  });
  if (wrong.empty() && (id.term.value == 0) != (id.index.value == 0)) {
    wrong = "EntryId: term without index, or index without term";
  }
  return wrong;
}

// One more member of a list that is sorted by id (hazard 28).
Complaint parse(std::string_view bytes, std::vector<raft::Member>& list) {
  if (list.size() == members_per_list_max) return "Members: over the limit members_per_list_max";
  raft::Member member;
  Complaint wrong = walk("Member", bytes, [&](ProtoReader& in) -> Complaint {
    if (in.field() == 1) member.id.value = in.fixed();
    if (in.field() == 2) member.address = in.bytes();
    return {};
  });
  if (!wrong.empty()) return wrong;
  if (member.id.value == 0) return "Member: no id";
  if (!list.empty() && list.back().id >= member.id) return "Members: a list is not sorted by id";
  if (!is_full_address(member.address)) return "Member: no valid address";
  list.push_back(std::move(member));
  return {};
}

Complaint parse(std::string_view bytes, raft::Members& members) {
  Complaint wrong = walk("Members", bytes, [&](ProtoReader& in) -> Complaint {
    switch (in.field()) {
      case 1:
        return parse(in.bytes(), members.voters);
      case 2:
        return parse(in.bytes(), members.outgoing);
      case 3:
        return parse(in.bytes(), members.learners);
      case 4:
        members.level.value = in.number();
        return {};
      default:
        return {};
    }
  });
  if (!wrong.empty()) return wrong;
  if (members.voters.empty()) return "Members: no voter";
  for (const raft::Member& learner : members.learners) {
    if (raft::is_voter(members, learner.id)) return "Members: a learner is a voter as well";
  }
  return {};
}

// As field_of() writes it.
Complaint parse_levelled(ProtoReader& in, std::uint32_t levelled, raft::Members& members) {
  const std::uint32_t field = in.field();
  Complaint wrong = parse(in.bytes(), members);
  if (wrong.empty() && (field == levelled) != (members.level != raft::Level{})) {
    wrong = "Members: in the field of another level";
  }
  return wrong;
}

Complaint parse(std::string_view bytes, raft::Entry& entry) {
  bool known = false;
  Complaint wrong = walk("Entry", bytes, [&](ProtoReader& in) -> Complaint {
    known = known || (in.field() >= 3 && in.field() <= 6);
    switch (in.field()) {
      case 1:
        entry.id.term.value = in.number();
        return {};
      case 2:
        entry.id.index.value = in.number();
        return {};
      case 3:
        static_cast<void>(in.bytes());
        entry.payload.emplace<raft::NoOp>();
        return {};
      case 4:
        if (in.bytes().size() > command_bytes_max) return "Entry: over the limit command_bytes_max";
        entry.payload.emplace<raft::Command>(in.bytes());
        return {};
      case 5:
      case 6:
        return parse_levelled(in, 6, entry.payload.emplace<raft::Members>());
      default:
        return {};
    }
  });
  // An entry taken for another than it is would make logs differ.
  if (wrong.empty() && !known) wrong = "Entry: of a kind this build does not know";
  return wrong;
}

// --- One message kind after the other: how it is written, how it is parsed.

void write_fields(ProtoWriter& out, const raft::PreVoteRequest& body) { write(out, 1, body.last); }
Complaint parse(std::string_view bytes, raft::PreVoteRequest& body) {
  return walk("PreVoteRequest", bytes, [&](ProtoReader& in) -> Complaint {
    return in.field() == 1 ? parse(in.bytes(), body.last) : Complaint();
  });
}

void write_fields(ProtoWriter& out, const raft::PreVoteReply& body) { out.flag(1, body.granted); }
Complaint parse(std::string_view bytes, raft::PreVoteReply& body) {
  return walk("PreVoteReply", bytes, [&](ProtoReader& in) -> Complaint {
    if (in.field() == 1) body.granted = in.flag();
    return {};
  });
}

void write_fields(ProtoWriter& out, const raft::VoteRequest& body) {
  write(out, 1, body.last);
  out.flag(2, body.transfer);
}
Complaint parse(std::string_view bytes, raft::VoteRequest& body) {
  return walk("VoteRequest", bytes, [&](ProtoReader& in) -> Complaint {
    if (in.field() == 2) body.transfer = in.flag();
    return in.field() == 1 ? parse(in.bytes(), body.last) : Complaint();
  });
}

void write_fields(ProtoWriter& out, const raft::VoteReply& body) { out.flag(1, body.granted); }
Complaint parse(std::string_view bytes, raft::VoteReply& body) {
  return walk("VoteReply", bytes, [&](ProtoReader& in) -> Complaint {
    if (in.field() == 1) body.granted = in.flag();
    return {};
  });
}

void write_fields(ProtoWriter& out, const raft::AppendRequest& body) {
  write(out, 1, body.prev);
  out.number(2, body.commit.value);
  for (const raft::EntryPtr& entry : body.entries) write(out, 3, *entry);
}
// Contiguous from prev on, terms never falling (hazard 34).
Complaint check_entries(const raft::AppendRequest& body) {
  constexpr std::uint64_t index_max = std::numeric_limits<std::uint64_t>::max();
  if (body.prev.index.value > index_max - entries_per_message_max) {
    return "AppendRequest: index out of range";
  }
  raft::EntryId before = body.prev;
  for (const raft::EntryPtr& entry : body.entries) {
    if (entry->id.index != before.index.next()) return "AppendRequest: entries are not contiguous";
    if (entry->id.term < before.term || entry->id.term.value == 0) {
      return "AppendRequest: terms of entries fall";
    }
    before = entry->id;
  }
  return {};
}
Complaint parse(std::string_view bytes, raft::AppendRequest& body) {
  Complaint wrong = walk("AppendRequest", bytes, [&](ProtoReader& in) -> Complaint {
    if (in.field() == 1) return parse(in.bytes(), body.prev);
    if (in.field() == 2) body.commit.value = in.number();
    if (in.field() != 3) return {};
    if (body.entries.size() == entries_per_message_max) {
      return "AppendRequest: over the limit entries_per_message_max";
    }
    auto entry = std::make_shared<raft::Entry>();
    Complaint wrong_entry = parse(in.bytes(), *entry);
    body.entries.push_back(std::move(entry));
    return wrong_entry;
  });
  return wrong.empty() ? check_entries(body) : wrong;
}

void write_fields(ProtoWriter& out, const raft::AppendReply& body) {
  out.flag(1, body.matched);
  out.number(2, body.index.value);
  write(out, 3, body.hint);
}
Complaint parse(std::string_view bytes, raft::AppendReply& body) {
  return walk("AppendReply", bytes, [&](ProtoReader& in) -> Complaint {
    if (in.field() == 1) body.matched = in.flag();
    if (in.field() == 2) body.index.value = in.number();
    return in.field() == 3 ? parse(in.bytes(), body.hint) : Complaint();
  });
}

void write_fields(ProtoWriter& out, const raft::Heartbeat& body) {
  out.number(1, body.commit.value);
  out.number(2, body.match.value);
  out.number(3, body.round.value);
}
Complaint parse(std::string_view bytes, raft::Heartbeat& body) {
  Complaint wrong = walk("Heartbeat", bytes, [&](ProtoReader& in) -> Complaint {
    if (in.field() == 1) body.commit.value = in.number();
    if (in.field() == 2) body.match.value = in.number();
    if (in.field() == 3) body.round.value = in.number();
    return {};
  });
  if (wrong.empty() && body.commit > body.match) wrong = "Heartbeat: commit beyond match";
  return wrong;
}

void write_fields(ProtoWriter& out, const raft::HeartbeatReply& body) {
  out.number(1, body.round.value);
  out.number(2, body.verified.value);
  out.number(3, body.durable.value);
}
Complaint parse(std::string_view bytes, raft::HeartbeatReply& body) {
  Complaint wrong = walk("HeartbeatReply", bytes, [&](ProtoReader& in) -> Complaint {
    if (in.field() == 1) body.round.value = in.number();
    if (in.field() == 2) body.verified.value = in.number();
    if (in.field() == 3) body.durable.value = in.number();
    return {};
  });
  if (wrong.empty() && body.durable > body.verified) wrong = "HeartbeatReply: durable, unverified";
  return wrong;
}

void write_fields(ProtoWriter&, const raft::TimeoutNow&) {}
Complaint parse(std::string_view bytes, raft::TimeoutNow&) {
  return walk("TimeoutNow", bytes, [](ProtoReader&) { return Complaint(); });
}

void write_fields(ProtoWriter& out, const raft::RemovalNotice& body) {
  out.number(1, body.members_index.value);
  out.flag(2, body.certain);
  write(out, 3, body.commit);
}
Complaint parse(std::string_view bytes, raft::RemovalNotice& body) {
  Complaint wrong = walk("RemovalNotice", bytes, [&](ProtoReader& in) -> Complaint {
    if (in.field() == 1) body.members_index.value = in.number();
    if (in.field() == 2) body.certain = in.flag();
    return in.field() == 3 ? parse(in.bytes(), body.commit) : Complaint();
  });
  if (wrong.empty() && body.members_index.value == 0) wrong = "RemovalNotice: by no configuration";
  if (wrong.empty() && body.commit.index < body.members_index) {
    wrong = "RemovalNotice: by a configuration that is not committed";
  }
  return wrong;
}

// The alternatives of raft::Body are the fields of Raft from this one on, in their order.
constexpr std::uint32_t first_body_field = 4;
static_assert(std::variant_size_v<raft::Body> == 10,
              "a new kind of message needs a field in peer.proto, a parser, and a new version");

Complaint check_terms(const raft::Message& message) {
  // A node that was never in an election refuses a pre-vote in term 0; nothing else has term 0.
  const auto* trial = std::get_if<raft::PreVoteReply>(&message.body);
  if (message.term.value == 0 && (trial == nullptr || trial->granted)) return "Raft: term 0";
  if (const auto* append = std::get_if<raft::AppendRequest>(&message.body)) {
    const raft::Term last =
        append->entries.empty() ? append->prev.term : append->entries.back()->id.term;
    if (last > message.term) return "AppendRequest: an entry from after the leader's term";
  }
  return {};
}

}  // namespace

void write(ProtoWriter& out, std::uint32_t field, const raft::SnapshotMetadata& mark) {
  const std::size_t at = out.open(field);
  write(out, 1, mark.last);
  write(out, field_of(mark.members, 2, 4), mark.members);
  out.number(3, mark.members_index.value);
  out.close(at);
}

Complaint parse(std::string_view bytes, raft::SnapshotMetadata& mark) {
  Complaint wrong = walk("SnapshotMetadata", bytes, [&](ProtoReader& in) -> Complaint {
    if (in.field() == 1) return parse(in.bytes(), mark.last);
    if (in.field() == 2 || in.field() == 4) return parse_levelled(in, 4, mark.members);
    if (in.field() == 3) mark.members_index.value = in.number();
    return {};
  });
  if (!wrong.empty()) return wrong;
  if (mark.last.index.value == 0) return "SnapshotMetadata: of no entry";
  if (mark.members.voters.empty()) return "SnapshotMetadata: no members";
  if (mark.members_index > mark.last.index) return "SnapshotMetadata: members from after it";
  return {};
}

void write_fields(ProtoWriter& out, const raft::Message& message) {
  out.fixed(1, message.from.value);
  out.fixed(2, message.to.value);
  out.number(3, message.term.value);
  const std::size_t at =
      out.open(first_body_field + static_cast<std::uint32_t>(message.body.index()));
  std::visit([&out](const auto& body) { write_fields(out, body); }, message.body);
  out.close(at);
}

Complaint parse(std::string_view bytes, raft::Message& message) {
  bool known = false;
  Complaint wrong = walk("Raft", bytes, [&](ProtoReader& in) -> Complaint {
    if (in.field() == 1) message.from.value = in.fixed();
    if (in.field() == 2) message.to.value = in.fixed();
    if (in.field() == 3) message.term.value = in.number();
    if (in.field() < first_body_field) return {};
    known = true;
    return parse_alternative(in.field() - first_body_field, message.body,
                             [&in](auto& body) { return parse(in.bytes(), body); });
  });
  if (wrong.empty() && !known) wrong = "Raft: no body";
  return wrong.empty() ? check_terms(message) : wrong;
}

const char* over_limit(const raft::Members& members) {
  for (const auto* list : {&members.voters, &members.outgoing, &members.learners}) {
    if (list->size() > members_per_list_max) return "members_per_list_max";
    for (const raft::Member& member : *list) {
      if (member.address.size() > address_bytes_max) return "address_bytes_max";
    }
  }
  return nullptr;
}

const char* over_limit(const raft::Message& message) {
  const auto* append = std::get_if<raft::AppendRequest>(&message.body);
  if (append == nullptr) return nullptr;
  if (append->entries.size() > entries_per_message_max) return "entries_per_message_max";
  std::size_t bytes = 0;
  for (const raft::EntryPtr& entry : append->entries) {
    if (const auto* command = std::get_if<raft::Command>(&entry->payload)) {
      if (command->size() > command_bytes_max) return "command_bytes_max";
      bytes += command->size();
    } else if (const auto* members = std::get_if<raft::Members>(&entry->payload)) {
      if (const char* limit = over_limit(*members)) return limit;
    }
  }
  return bytes > message_bytes_max ? "message_bytes_max" : nullptr;
}

}  // namespace iris::wire
