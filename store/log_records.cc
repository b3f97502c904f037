#include "store/log_records.h"

#include <utility>
#include <variant>

#include "src/base/crc32c.h"
#include "store/codec.h"

namespace iris::store {

namespace {

constexpr char entry_prefix = 'e';
constexpr std::size_t entry_key_bytes = 9;
constexpr std::size_t chain_bytes = 4;

enum class Kind : std::uint8_t { empty = 0, command = 1, members = 2 };

// `body`: the record without its checksum.
Chain link(Chain former, raft::Index index, std::string_view body) {
  std::string front;
  put_u32(front, former);
  put_u64(front, index.value);
  return crc32c(body, crc32c(front));
}

unexpected<Error> damaged(raft::Index index, std::string_view how) {
  return fail(Errc::corrupt,
              "log record " + std::to_string(index.value) + " is damaged: " + std::string(how));
}

}  // namespace

std::string entry_key(raft::Index index) {
  std::string key(1, entry_prefix);
  put_u64(key, index.value);
  return key;
}

std::string entries_end() { return {static_cast<char>(entry_prefix + 1)}; }

raft::Index index_of(std::string_view key) {
  if (key.size() != entry_key_bytes || key.front() != entry_prefix) return {};
  return raft::Index{Reader(key.substr(1)).u64()};
}

Chain encode_entry(const raft::Entry& entry, Chain former, std::string& out) {
  out.assign(chain_bytes, '\0');
  put_u64(out, entry.id.term.value);
  if (const auto* command = std::get_if<raft::Command>(&entry.payload)) {
    put_u8(out, static_cast<std::uint8_t>(Kind::command));
    out.append(*command);
  } else if (const auto* members = std::get_if<raft::Members>(&entry.payload)) {
    put_u8(out, static_cast<std::uint8_t>(Kind::members));
    put_members(out, *members);
  } else {
    put_u8(out, static_cast<std::uint8_t>(Kind::empty));
  }
  const Chain chain = link(former, entry.id.index, std::string_view(out).substr(chain_bytes));
  std::string front;
  put_u32(front, chain);
  out.replace(0, chain_bytes, front);
  return chain;
}

Result<raft::EntryPtr> decode_entry(raft::Index index, std::string_view bytes, Chain& chain) {
  Reader reader(bytes);
  const Chain stored = reader.u32();
  if (!reader.ok() || stored != link(chain, index, reader.rest())) {
    return damaged(index, "its checksum does not hold");
  }
  raft::Entry entry;
  entry.id = {raft::Term{reader.u64()}, index};
  const std::uint8_t kind = reader.u8();
  if (kind == static_cast<std::uint8_t>(Kind::command)) {
    entry.payload = raft::Command(reader.bytes(reader.rest().size()));
  } else if (kind == static_cast<std::uint8_t>(Kind::members)) {
    entry.payload = reader.members();
  } else if (kind != static_cast<std::uint8_t>(Kind::empty)) {
    return damaged(index, "it is of an unknown kind");
  }
  if (!reader.complete()) return damaged(index, "its payload does not fit its kind");
  chain = stored;
  return raft::EntryPtr(std::make_shared<const raft::Entry>(std::move(entry)));
}

std::string encode_head(const Head& head) {
  std::string body;
  put_u64(body, head.batch);
  put_u64(body, head.state.term.value);
  put_u64(body, head.state.vote.value);
  put_u64(body, head.last.term.value);
  put_u64(body, head.last.index.value);
  put_u32(body, head.chain);
  put_u64(body, head.state.led.value);
  return seal(head_key, body);
}

std::string encode_floor(const Floor& floor) {
  std::string body;
  put_u32(body, floor.chain);
  put_mark(body, floor.mark);
  return seal(floor_key, body);
}

std::string encode_install(const Install& install) {
  std::string body;
  put_mark(body, install.mark);
  if (install.cluster != raft::ClusterId{}) put_u64(body, install.cluster.value);
  return seal(install_key, body);
}

std::string encode_identity(const Identity& identity) {
  std::string body;
  put_u64(body, identity.node.value);
  put_u64(body, identity.cluster.value);
  return seal(identity_key, body);
}

bool decode_head(std::string_view bytes, Head& head) {
  std::string_view body;
  if (!unseal(head_key, bytes, body)) return false;
  Reader reader(body);
  head.batch = reader.u64();
  head.state.term = raft::Term{reader.u64()};
  head.state.vote = raft::NodeId{reader.u64()};
  head.last = reader.entry_id();
  head.chain = reader.u32();
  head.state.led = reader.complete() ? raft::Term{} : raft::Term{reader.u64()};
  return reader.complete();
}

bool decode_floor(std::string_view bytes, Floor& floor) {
  std::string_view body;
  if (!unseal(floor_key, bytes, body)) return false;
  Reader reader(body);
  floor.chain = reader.u32();
  floor.mark = reader.mark();
  return reader.complete();
}

bool decode_install(std::string_view bytes, Install& install) {
  std::string_view body;
  if (!unseal(install_key, bytes, body)) return false;
  Reader reader(body);
  install.mark = reader.mark();
  install.cluster = raft::ClusterId{reader.complete() ? 0 : reader.u64()};
  return reader.complete();
}

bool decode_identity(std::string_view bytes, Identity& identity) {
  std::string_view body;
  if (!unseal(identity_key, bytes, body)) return false;
  Reader reader(body);
  identity.node = raft::NodeId{reader.u64()};
  identity.cluster = raft::ClusterId{reader.u64()};
  return reader.complete();
}

}  // namespace iris::store
