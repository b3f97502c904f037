// Two nodes with the same log have the same hashes, however each of them purges and reads; any
// other row is another hash.
#include "src/machine/state_hash.h"

#include <functional>
#include <set>
#include <string>

#include "src/machine/layout.h"
#include "tests/machine/fixture.h"

#include "tests/catch.h"  // last: its CHECK must not stand in for raft/check.h's

namespace iris {
namespace {

using store::Table;

StateHash hash_of(const store::MemoryTables& tables, std::uint64_t history_after = 0,
                  std::size_t bytes_max = 1u << 20) {
  StateHasher hasher(history_after);
  const store::MemoryView view(tables);
  while (!hasher.done()) REQUIRE(hasher.read(view, bytes_max) < bytes_max + 1000);
  return hasher.result();
}

void purge_all(MachineFixture& machine, std::uint64_t floor) {
  store::MemoryBatch batch(machine.tables);
  while (purge(batch, floor, 1)) {
  }
}

// Something in every table: 14 entries.
void fill(MachineFixture& machine) {
  machine.set("colors", "sky", "blue");
  machine.set("colors", "sea", "green");
  machine.set("tastes", "salt", "salty");
  machine.set("old", "one", "1");
  machine.set("old", "two", "2");
  machine.remove_source("old");        // 6: a tombstone
  machine.remove("colors", "absent");  // 7: a no-op
  machine.set("young", "one", "1");
  machine.set("young", "two", "2");
  machine.remove_source("young");  // 10: a tombstone
  machine.remove_source("young");  // 11: a no-op
  machine.subscribe("session", "colors");
  machine.subscribe("session", "tastes", "salt");
  machine.subscribe("another", "colors", "sky");
}

TEST_CASE("equal logs make equal hashes, whatever the size of a piece") {
  MachineFixture one;
  MachineFixture other;
  fill(one);
  fill(other);
  const StateHash hash = hash_of(one.tables);
  CHECK(hash.index == raft::Index{14});
  CHECK(hash.purged == 0);
  REQUIRE(hash.history.has_value());
  CHECK(hash.data != *hash.history);
  for (const std::size_t bytes_max : {1, 40, 100, 1000}) {
    CAPTURE(bytes_max);
    const StateHash again = hash_of(other.tables, 0, bytes_max);
    CHECK(again.data == hash.data);
    CHECK(again.history == hash.history);
  }
}

TEST_CASE("what a node has purged is in no hash that it tells") {
  MachineFixture one;
  MachineFixture purged;
  fill(one);
  fill(purged);
  purge_all(purged, 8);
  REQUIRE(purged.tables.size(Table::values) == one.tables.size(Table::values) - 2);
  CHECK(hash_of(purged.tables).data == hash_of(one.tables).data);
  CHECK(hash_of(purged.tables).purged == 8);
  // The history can be compared from there on, and not from before.
  CHECK_FALSE(hash_of(purged.tables, 0).history.has_value());
  CHECK_FALSE(hash_of(purged.tables, 7).history.has_value());
  REQUIRE(hash_of(purged.tables, 8).history.has_value());
  CHECK(hash_of(purged.tables, 8).history == hash_of(one.tables, 8).history);
  CHECK(hash_of(purged.tables, 8).history != hash_of(one.tables, 10).history);
  purge_all(purged, 14);
  CHECK(hash_of(purged.tables).data == hash_of(one.tables).data);
  CHECK(hash_of(purged.tables, 14).history == hash_of(one.tables, 14).history);
}

TEST_CASE("fields of a session that older versions did not write are in no hash") {
  MachineFixture machine;
  fill(machine);
  const StateHash hash = hash_of(machine.tables);
  std::string& row = machine.tables.rows.at({Table::sessions, "session"});
  REQUIRE(row.size() == 32);
  row.resize(24);
  CHECK(hash_of(machine.tables).data == hash.data);
  row.resize(16);
  CHECK(hash_of(machine.tables).data == hash.data);
  row.back() ^= 1;
  CHECK(hash_of(machine.tables).data != hash.data);
}

// Every row of every table: dropped, changed in its first and last byte, and one beside it.
TEST_CASE("no row is left out: one that is changed, dropped or added changes a hash") {
  MachineFixture machine;
  fill(machine);
  const StateHash before = hash_of(machine.tables);
  const auto differs = [&](const std::function<void(store::MemoryTables & tables)>& change) {
    store::MemoryTables tables = machine.tables;
    change(tables);
    const StateHash after = hash_of(tables);
    return after.data != before.data || after.history != before.history;
  };
  std::set<Table> seen;
  for (const auto& [key, value] : machine.tables.rows) {
    CAPTURE(static_cast<int>(key.first), key.second.size());
    seen.insert(key.first);
    CHECK(differs([&k = key](store::MemoryTables& tables) { tables.rows.erase(k); }));
    CHECK(differs([&k = key](store::MemoryTables& tables) {
      tables.rows[{k.first, k.second + "x"}] = "12345678extra bytes, so many";
    }));
    if (value.empty()) continue;
    CHECK(differs([&k = key](store::MemoryTables& tables) { tables.rows[k].front() ^= 1; }));
    // The last bytes of a session's row are those that older versions do not have.
    if (key.first == Table::sessions && !key.second.empty()) continue;
    CHECK(differs([&k = key](store::MemoryTables& tables) { tables.rows[k].back() ^= 1; }));
  }
  CHECK(seen == std::set<Table>{Table::sources, Table::values, Table::tombstones, Table::no_ops,
                                Table::sessions, Table::subscriptions});
}

TEST_CASE("bytes that move from a key to its value, or to the next row, change the hash") {
  store::MemoryTables one;
  one.rows[{Table::sources, "ab"}] = "c";
  store::MemoryTables other;
  other.rows[{Table::sources, "a"}] = "bc";
  store::MemoryTables third;
  third.rows[{Table::subscriptions, "ab"}] = "c";
  CHECK(hash_of(one).data != hash_of(other).data);
  CHECK(hash_of(one).data != hash_of(third).data);
}

TEST_CASE("rows too short to be of the machine are hashed, not taken for a reason to abort") {
  store::MemoryTables empty;
  for (const Table table : {Table::values, Table::tombstones, Table::no_ops, Table::sessions}) {
    store::MemoryTables tables;
    tables.rows[{table, "short"}] = "x";
    CHECK(hash_of(tables).data != hash_of(empty).data);
  }
}

TEST_CASE("the hash is XXH3 with 128 bits, as xxhsum prints it") {
  Xxh3 hash;
  CHECK(hex_text(hash.result()) == "99aa06d3014798d86001c324468d497f");  // of nothing
  hash.add("a");
  hash.add("bc");
  Xxh3 whole;
  whole.add("abc");
  CHECK(hash.result() == whole.result());
  CHECK(hex_text(whole.result()) == "06b05ab6733a618578af5f94892f3950");
}

}  // namespace
}  // namespace iris
