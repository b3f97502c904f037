#include "store/keys.h"

#include <charconv>

#include "raft/check.h"
#include "store/codec.h"

namespace iris::store {

namespace {
constexpr std::string_view family_prefix = "rows-";
}

void row_key(std::string& out, Table table, std::string_view key) {
  out.assign(1, static_cast<char>(table));
  out.append(key);
}

std::string prefix_end(std::string_view prefix) {
  constexpr char last_byte = static_cast<char>(0xff);
  std::string end(prefix);
  while (!end.empty() && end.back() == last_byte) end.pop_back();
  CHECK(!end.empty());  // no table has the number 255
  end.back() = static_cast<char>(static_cast<unsigned char>(end.back()) + 1);
  return end;
}

std::string family_name(std::uint64_t number) {
  return std::string(family_prefix) + std::to_string(number);
}

std::uint64_t family_number(std::string_view name) {
  std::uint64_t number = 0;
  if (!name.starts_with(family_prefix)) return 0;
  name.remove_prefix(family_prefix.size());
  const auto [stop, error] = std::from_chars(name.data(), name.data() + name.size(), number);
  return error == std::errc{} && stop == name.data() + name.size() ? number : 0;
}

std::string encode_applied(raft::EntryId applied) {
  std::string body;
  put_u64(body, applied.term.value);
  put_u64(body, applied.index.value);
  return seal(applied_key, body);
}

std::string encode_data_members(const raft::Members& members, raft::Index index) {
  std::string body;
  put_u64(body, index.value);
  put_members(body, members);
  return seal(members_key, body);
}

std::string encode_number(std::string_view name, std::uint64_t number) {
  std::string body;
  put_u64(body, number);
  return seal(name, body);
}

bool decode_applied(std::string_view bytes, raft::EntryId& applied) {
  std::string_view body;
  if (!unseal(applied_key, bytes, body)) return false;
  Reader reader(body);
  applied = reader.entry_id();
  return reader.complete();
}

bool decode_data_members(std::string_view bytes, raft::Members& members, raft::Index& index) {
  std::string_view body;
  if (!unseal(members_key, bytes, body)) return false;
  Reader reader(body);
  index = raft::Index{reader.u64()};
  members = reader.members();
  return reader.complete();
}

bool decode_number(std::string_view name, std::string_view bytes, std::uint64_t& number) {
  std::string_view body;
  if (!unseal(name, bytes, body)) return false;
  Reader reader(body);
  number = reader.u64();
  return reader.complete();
}

}  // namespace iris::store
