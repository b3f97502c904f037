#include "tests/sim/model_view.h"

#include <algorithm>
#include <cstring>

namespace iris::sim {
namespace {

constexpr char end_mark = '\xff';

const PersistentMap& table_of(const DataState& state, store::Table table) {
  return state.tables.at(static_cast<std::size_t>(table));
}

PersistentMap& table_of(DataState& state, store::Table table) {
  return state.tables.at(static_cast<std::size_t>(table));
}

store::Found find(const DataState& state, store::Table table, std::string_view key,
                  std::string& value) {
  const std::string* found = table_of(state, table).find(key);
  if (found == nullptr) return store::Found::no;
  value = *found;
  return store::Found::yes;
}

class StateCursor : public store::Cursor {
 public:
  StateCursor(const PersistentMap& map, std::string_view prefix, std::string_view from)
      : cursor_(map, std::max(prefix, from)), prefix_(prefix) {}
  [[nodiscard]] bool valid() const override {
    return cursor_.valid() && cursor_.key().starts_with(prefix_);
  }
  [[nodiscard]] std::string_view key() const override { return cursor_.key(); }
  [[nodiscard]] std::string_view value() const override { return cursor_.value(); }
  void next() override {
    CHECK(valid());
    cursor_.next();
  }

 private:
  PersistentMap::Cursor cursor_;
  std::string prefix_;
};

template <class Unsigned>
void append_number(std::string& bytes, Unsigned number) {
  for (std::size_t i = 0; i < sizeof number; ++i) {
    bytes.push_back(static_cast<char>(number >> (8 * i)));
  }
}

// Takes numbers and strings off the front; `ok` is false from the first missing one on.
struct Reader {
  std::string_view bytes;
  bool ok = true;

  std::string_view take(std::size_t size) {
    if (bytes.size() < size) {
      ok = false;
      return {};
    }
    const std::string_view result = bytes.substr(0, size);
    bytes.remove_prefix(size);
    return result;
  }
  template <class Unsigned>
  Unsigned number() {
    Unsigned result = 0;
    const std::string_view raw = take(sizeof result);
    for (std::size_t i = 0; i < raw.size(); ++i) {
      result |= static_cast<Unsigned>(static_cast<unsigned char>(raw[i])) << (8 * i);
    }
    return result;
  }
};

std::uint64_t tables_digest(const DataState& state) {
  std::uint64_t result = 0;
  for (const PersistentMap& table : state.tables) result = mix(result + table.digest());
  for (const std::uint64_t digest : state.maintained) result = mix(result + digest);
  return result;
}

}  // namespace

std::unique_ptr<store::Cursor> scan_state(const DataState& state, store::Table table,
                                          std::string_view prefix, std::string_view from) {
  return std::make_unique<StateCursor>(table_of(state, table), prefix, from);
}

store::Found StateView::get(store::Table table, std::string_view key, std::string& value) const {
  return find(*state_, table, key, value);
}

store::Found StateBatch::get(store::Table table, std::string_view key, std::string& value) const {
  return find(state_, table, key, value);
}

void StateBatch::put(store::Table table, std::string_view key, std::string_view value) {
  CHECK(table != store::Table::meta);
  for (const auto& [of, prefix] : removed_prefixes_) CHECK(of != table || !key.starts_with(prefix));
  table_of(state_, table).put(key, value);
}

void StateBatch::remove(store::Table table, std::string_view key) {
  CHECK(table != store::Table::meta);
  table_of(state_, table).erase(key);
}

void StateBatch::remove_prefix(store::Table table, std::string_view prefix) {
  CHECK(table != store::Table::meta);
  PersistentMap& map = table_of(state_, table);
  const PersistentMap before = map;
  for (PersistentMap::Cursor at(before, prefix); at.valid() && at.key().starts_with(prefix);
       at.next()) {
    map.erase(at.key());
  }
  removed_prefixes_.emplace_back(table, prefix);
}

std::string export_state(const DataState& state) {
  std::string bytes;
  for (std::size_t table = 0; table < state.tables.size(); ++table) {
    for (PersistentMap::Cursor at(state.tables[table], ""); at.valid(); at.next()) {
      bytes.push_back(static_cast<char>(table));
      append_number(bytes, static_cast<std::uint32_t>(at.key().size()));
      bytes += at.key();
      append_number(bytes, static_cast<std::uint32_t>(at.value().size()));
      bytes += at.value();
    }
  }
  bytes.push_back(end_mark);
  for (const std::uint64_t digest : state.maintained) append_number(bytes, digest);
  append_number(bytes, tables_digest(state));
  return bytes;
}

Result<DataPtr> import_state(const raft::SnapshotMetadata& mark, std::string_view bytes) {
  auto state = std::make_shared<DataState>();
  Reader reader{bytes};
  while (reader.ok && !reader.bytes.empty() && reader.bytes.front() != end_mark) {
    const auto table = reader.number<std::uint8_t>();
    const std::string_view key = reader.take(reader.number<std::uint32_t>());
    const std::string_view value = reader.take(reader.number<std::uint32_t>());
    if (!reader.ok || table >= table_count) return fail(Errc::corrupt, "a pair is cut off");
    state->tables[table].put(key, value);
  }
  reader.take(1);
  for (std::uint64_t& each : state->maintained) each = reader.number<std::uint64_t>();
  const auto digest = reader.number<std::uint64_t>();
  if (!reader.ok || !reader.bytes.empty() || digest != tables_digest(*state)) {
    return fail(Errc::corrupt, "the snapshot stream does not match its hash");
  }
  state->applied = mark.last;
  state->members = mark.members;
  state->members_index = mark.members_index;
  return DataPtr(std::move(state));
}

}  // namespace iris::sim
