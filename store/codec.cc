#include "store/codec.h"

#include <limits>

#include "raft/check.h"
#include "src/base/crc32c.h"

namespace iris::store {

namespace {

constexpr std::uint8_t members_at_level_0 = 1;
constexpr std::uint8_t members_with_level = 2;
constexpr std::size_t seal_bytes = 4;

void put_number(std::string& out, std::uint64_t value, std::size_t count) {
  for (std::size_t left = count; left > 0; --left) {
    out.push_back(static_cast<char>(value >> (8 * (left - 1)) & 0xff));
  }
}

void put_list(std::string& out, const std::vector<raft::Member>& list) {
  CHECK(list.size() <= std::numeric_limits<std::uint16_t>::max());
  put_u16(out, static_cast<std::uint16_t>(list.size()));
  for (const raft::Member& member : list) {
    put_u64(out, member.id.value);
    put_text(out, member.address);
  }
}

std::uint32_t sum_of(std::string_view name, std::string_view body) {
  return crc32c(body, crc32c(name));
}

}  // namespace

void put_u8(std::string& out, std::uint8_t value) { put_number(out, value, 1); }
void put_u16(std::string& out, std::uint16_t value) { put_number(out, value, 2); }
void put_u32(std::string& out, std::uint32_t value) { put_number(out, value, 4); }
void put_u64(std::string& out, std::uint64_t value) { put_number(out, value, 8); }

void put_text(std::string& out, std::string_view text) {
  CHECK(text.size() <= std::numeric_limits<std::uint16_t>::max());
  put_u16(out, static_cast<std::uint16_t>(text.size()));
  out.append(text);
}

void put_members(std::string& out, const raft::Members& members) {
  const bool has_level = members.level != raft::Level{};
  put_u8(out, has_level ? members_with_level : members_at_level_0);
  if (has_level) put_u64(out, members.level.value);
  put_list(out, members.voters);
  put_list(out, members.outgoing);
  put_list(out, members.learners);
}

void put_mark(std::string& out, const raft::SnapshotMetadata& mark) {
  put_u64(out, mark.last.term.value);
  put_u64(out, mark.last.index.value);
  put_u64(out, mark.members_index.value);
  put_members(out, mark.members);
}

std::string_view Reader::bytes(std::size_t count) {
  if (!ok_ || rest_.size() < count) {
    ok_ = false;
    return {};
  }
  const std::string_view taken = rest_.substr(0, count);
  rest_.remove_prefix(count);
  return taken;
}

std::uint64_t Reader::number(std::size_t count) {
  std::uint64_t value = 0;
  for (const char byte : bytes(count)) value = value << 8 | static_cast<unsigned char>(byte);
  return value;
}

raft::EntryId Reader::entry_id() {
  const raft::Term term{u64()};
  return {term, raft::Index{u64()}};
}

raft::Members Reader::members() {
  raft::Members members;
  const std::uint8_t layout = u8();
  if (layout == members_with_level) {
    members.level = raft::Level{u64()};
    if (members.level == raft::Level{}) ok_ = false;
  } else if (layout != members_at_level_0) {
    ok_ = false;
  }
  for (auto* list : {&members.voters, &members.outgoing, &members.learners}) {
    const std::size_t count = u16();
    for (std::size_t i = 0; i < count && ok_; ++i) {
      const raft::NodeId id{u64()};
      list->push_back({id, std::string(text())});
    }
  }
  return ok_ ? members : raft::Members{};
}

raft::SnapshotMetadata Reader::mark() {
  raft::SnapshotMetadata mark;
  mark.last = entry_id();
  mark.members_index = raft::Index{u64()};
  mark.members = members();
  return mark;
}

std::string seal(std::string_view name, std::string_view body) {
  std::string sealed;
  sealed.reserve(seal_bytes + body.size());
  put_u32(sealed, sum_of(name, body));
  sealed.append(body);
  return sealed;
}

bool unseal(std::string_view name, std::string_view bytes, std::string_view& body) {
  Reader reader(bytes);
  const std::uint32_t sum = reader.u32();
  body = reader.rest();
  return reader.ok() && sum == sum_of(name, body);
}

}  // namespace iris::store
