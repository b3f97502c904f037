// The effect of each command on the tables, and reads of them.
#include "src/machine/machine.h"

#include <string>
#include <vector>

#include "src/machine/layout.h"
#include "tests/machine/fixture.h"

#include "tests/catch.h"  // last: its CHECK must not stand in for raft/check.h's

namespace iris {
namespace {

using Code = Outcome::Code;
using Names = std::vector<std::string>;
using store::Found;
using store::Table;

TEST_CASE("set stores the value under its revision, empty ones too") {
  MachineFixture machine;
  CHECK(machine.set("colors", "sky", "blue") == Outcome{Code::done, true, 1});
  CHECK(machine.set("colors", "sea", "") == Outcome{Code::done, true, 2});
  Value value;
  REQUIRE(get_value(machine.view(), "colors", "sky", value) == Found::yes);
  CHECK(value.bytes == "blue");
  CHECK(value.revision == 1);
  REQUIRE(get_value(machine.view(), "colors", "sea", value) == Found::yes);
  CHECK(value.bytes.empty());
  CHECK(value.revision == 2);
  CHECK(get_value(machine.view(), "colors", "sun", value) == Found::no);
  CHECK(get_value(machine.view(), "tastes", "sky", value) == Found::no);
}

TEST_CASE("setting the same value again is a change with a revision of its own") {
  MachineFixture machine;
  CHECK(machine.set("colors", "sky", "blue").changed);
  CHECK(machine.set("colors", "sky", "blue") == Outcome{Code::done, true, 2});
  Value value;
  REQUIRE(get_value(machine.view(), "colors", "sky", value) == Found::yes);
  CHECK(value.revision == 2);
  CHECK(machine.no_ops().empty());
}

TEST_CASE("a source exists while it has a key") {
  MachineFixture machine;
  machine.set("colors", "sky", "blue");
  machine.set("colors", "sea", "green");
  machine.set("colors", "sky", "grey");
  CHECK(machine.remove("colors", "sky") == Outcome{Code::done, true, 4});
  CHECK(machine.sources() == Names{"colors"});
  CHECK(machine.remove("colors", "sea").changed);
  CHECK(machine.sources().empty());
  CHECK(machine.keys("colors").empty());
  CHECK(machine.tables.size(Table::values) == 0);
  CHECK(machine.tables.size(Table::tombstones) == 0);
}

TEST_CASE("a removal of what is absent is done, changes nothing and leaves a no-op") {
  MachineFixture machine;
  CHECK(machine.remove("colors", "sky") == Outcome{Code::done, false, 1});
  CHECK(machine.remove_source("colors") == Outcome{Code::done, false, 2});
  machine.set("colors", "sky", "blue");
  CHECK(machine.remove("colors", "sea") == Outcome{Code::done, false, 4});
  CHECK(machine.no_ops() == std::vector<std::uint64_t>{1, 2, 4});
  CHECK(machine.no_ops(1) == std::vector<std::uint64_t>{2, 4});
  CHECK(machine.get("colors", "sky") == "blue");
}

TEST_CASE("if_revision holds or changes nothing and tells the revision (hazard 78)") {
  MachineFixture machine;
  CHECK(machine.set("s", "k", "a", 7) == Outcome{Code::condition_failed, false, 0});
  CHECK(machine.sources().empty());
  CHECK(machine.set("s", "k", "a", 0) == Outcome{Code::done, true, 2});
  // A retry of a write that was done is not done again.
  CHECK(machine.set("s", "k", "a", 0) == Outcome{Code::condition_failed, false, 2});
  CHECK(machine.set("s", "k", "b", 2) == Outcome{Code::done, true, 4});
  CHECK(machine.set("s", "k", "late", 2) == Outcome{Code::condition_failed, false, 4});
  CHECK(machine.get("s", "k") == "b");
  CHECK(machine.set("s", "other", "x", 4) == Outcome{Code::condition_failed, false, 0});
  CHECK(machine.remove("s", "k", 2) == Outcome{Code::condition_failed, false, 4});
  CHECK(machine.remove("s", "k", 0) == Outcome{Code::condition_failed, false, 4});
  CHECK(machine.remove("s", "k", 4) == Outcome{Code::done, true, 9});
  CHECK(machine.remove("s", "k", 4) == Outcome{Code::condition_failed, false, 0});
  CHECK(machine.remove("s", "k", 0) == Outcome{Code::done, false, 11});
  CHECK(machine.no_ops() == std::vector<std::uint64_t>{1, 3, 5, 6, 7, 8, 10, 11});
}

TEST_CASE("RemoveSource costs one record whatever it holds; its keys are found in the tombstone") {
  MachineFixture machine;
  for (int i = 0; i < 100; ++i) machine.set("s", std::string("k").append(std::to_string(i)), "v");
  const std::uint64_t writes = machine.tables.writes;
  CHECK(machine.remove_source("s") == Outcome{Code::done, true, 101});
  CHECK(machine.tables.writes - writes == 2);
  CHECK(machine.sources().empty());
  CHECK(machine.keys("s").empty());
  CHECK(machine.get("s", "k1").empty());

  const auto tombstone = find_tombstone(machine.view(), 101);
  REQUIRE(tombstone);
  CHECK(tombstone->source == "s");
  CHECK(tombstone->keys == 100);
  CHECK(generation_has(machine.view(), tombstone->generation, "k7"));
  CHECK_FALSE(generation_has(machine.view(), tombstone->generation, "k100"));
  Names keys;
  list_generation(machine.view(), tombstone->generation, {"", "k97", 0},
                  [&](std::string_view key, const ValueView&) {
                    keys.emplace_back(key);
                    return true;
                  });
  CHECK(keys == Names{"k98", "k99"});
  CHECK_FALSE(find_tombstone(machine.view(), 100));
}

TEST_CASE("a source made again after its removal has none of the former keys (hazard 82)") {
  MachineFixture machine;
  machine.set("s", "old", "1");
  machine.set("s", "both", "1");
  machine.remove_source("s");
  machine.set("s", "both", "2");
  CHECK(machine.keys("s") == Names{"both"});
  CHECK(machine.get("s", "old").empty());
  CHECK(machine.remove("s", "old") == Outcome{Code::done, false, 5});
  CHECK(machine.set("s", "old", "3", 1) == Outcome{Code::condition_failed, false, 0});
  CHECK(machine.set("s", "old", "3", 0).changed);
  machine.remove_source("s");
  CHECK(machine.sources().empty());
  CHECK(find_tombstone(machine.view(), 3)->keys == 2);
  CHECK(find_tombstone(machine.view(), 8)->keys == 2);
}

TEST_CASE("names may hold any bytes, and none is taken for another") {
  MachineFixture machine;
  const std::string zero(1, '\0');
  const Names names{zero, zero + zero, "a", "a" + zero, "a" + zero + "b", "ab", "\xff", "\xff\xff"};
  for (const auto& source : names) {
    for (const auto& key : names) machine.set(source, key, source + "|" + key);
  }
  CHECK(machine.sources() == names);
  for (const auto& source : names) {
    CHECK(machine.keys(source) == names);
    for (const auto& key : names) CHECK(machine.get(source, key) == source + "|" + key);
  }
}

TEST_CASE("lists are sorted by bytes and come in pages (hazard 77)") {
  MachineFixture machine;
  for (const char* key : {"b", "ab", "a", "abc", "ac", "\xc3\xa4"}) machine.set("s", key, key);
  CHECK(machine.keys("s") == Names{"a", "ab", "abc", "ac", "b", "\xc3\xa4"});
  CHECK(machine.keys("s", {"a", "", 0}) == Names{"a", "ab", "abc", "ac"});
  CHECK(machine.keys("s", {"a", "", 2}) == Names{"a", "ab"});
  CHECK(machine.keys("s", {"a", "ab", 2}) == Names{"abc", "ac"});
  CHECK(machine.keys("s", {"a", "b", 0}).empty());
  CHECK(machine.keys("s", {"b", "a", 0}) == Names{"b"});
  CHECK(machine.keys("s", {"", "aa", 1}) == Names{"ab"});
  CHECK(machine.keys("unknown").empty());
  machine.set("t", "k", "v");
  machine.set("sa", "k", "v");
  CHECK(machine.sources() == Names{"s", "sa", "t"});
  CHECK(machine.sources({"s", "s", 0}) == Names{"sa"});
  CHECK(machine.sources({"", "", 1}) == Names{"s"});
}

TEST_CASE("an overwrite writes one record, a new key two, each after two reads") {
  MachineFixture machine;
  machine.set("s", "first", "v");
  const auto cost = [&](const std::string& key) {
    store::MemoryBatch batch(machine.tables);
    const Operation set = SetValue{"s", key, "v", {}};
    const auto outcome =
        Machine::apply(raft::Entry{{raft::Term{1}, raft::Index{++machine.last}}, encode(set)},
                       machine.level, batch);
    CHECK(outcome.changed);
    return std::pair(batch.gets, batch.puts);
  };
  CHECK(cost("second") == std::pair<std::uint64_t, std::uint64_t>(2, 2));
  CHECK(cost("second") == std::pair<std::uint64_t, std::uint64_t>(2, 1));
}

TEST_CASE("entries that are no commands change nothing") {
  MachineFixture machine;
  store::MemoryBatch batch(machine.tables);
  const raft::EntryId id{raft::Term{1}, raft::Index{5}};
  CHECK(Machine::apply({id, raft::NoOp{}}, feature_level, batch) == Outcome{Code::done, false, 5});
  CHECK(Machine::apply({id, raft::Members{}}, feature_level, batch) ==
        Outcome{Code::done, false, 5});
  CHECK(machine.tables.rows.empty());
}

TEST_CASE("purge removes tombstones with their keys and no-ops up to the floor, in pieces") {
  MachineFixture machine;
  for (int i = 0; i < 10; ++i) machine.set("a", std::to_string(i), "v");  // 1..10
  machine.remove("a", "none");                                            // 11: no-op
  machine.remove_source("a");                                             // 12: tombstone
  machine.set("a", "new", "v");                                           // 13
  machine.remove_source("none");                                          // 14: no-op
  machine.remove_source("a");                                             // 15: tombstone
  machine.set("b", "k", "v");                                             // 16
  store::MemoryBatch batch(machine.tables);
  CHECK(purged(machine.view()) == 0);
  // Each record is there as a whole or gone: a replay may begin after purged().
  CHECK(purge(batch, 15, 1));
  CHECK(purged(machine.view()) == 11);
  CHECK(machine.no_ops() == std::vector<std::uint64_t>{14});
  REQUIRE(find_tombstone(machine.view(), 12));
  CHECK(machine.tables.size(Table::values) == 12);
  CHECK(purge(batch, 15, 1));
  CHECK(purged(machine.view()) == 12);
  CHECK_FALSE(find_tombstone(machine.view(), 12));
  CHECK(machine.tables.size(Table::values) == 2);
  CHECK(purge(batch, 14, 1));
  CHECK_FALSE(purge(batch, 14, 1));
  CHECK(purged(machine.view()) == 14);
  CHECK(machine.no_ops().empty());
  REQUIRE(find_tombstone(machine.view(), 15));
  CHECK(generation_has(machine.view(), find_tombstone(machine.view(), 15)->generation, "new"));
  CHECK(machine.get("b", "k") == "v");

  CHECK_FALSE(purge(batch, 3, 100));  // a floor that went back does nothing
  CHECK(purged(machine.view()) == 14);
  CHECK_FALSE(purge(batch, 16, 100));
  CHECK(purged(machine.view()) == 16);
  CHECK(machine.tables.size(Table::values) == 1);
  CHECK(machine.tables.size(Table::tombstones) == 0);
  CHECK(machine.tables.size(Table::no_ops) == 1);  // the row of purged()
}

TEST_CASE("replaying a log gives equal tables, byte for byte (hazards 70 and 71)") {
  MachineFixture first;
  std::vector<std::string> log;
  const auto both = [&](const Operation& operation) {
    log.push_back(encode(operation));
    first.apply_bytes(log.back());
  };
  for (int round = 0; round < 50; ++round) {
    const std::string n = std::to_string(round % 7);
    both(SetValue{"s" + n, "k" + std::to_string(round % 5), n, {}});
    both(RemoveValue{"s" + n, "k" + std::to_string(round % 3), {}});
    if (round % 4 == 0) both(RemoveSource{"s" + n});
    both(Subscribe{"session" + n, "s" + n, {}});
    if (round % 5 == 0) both(Unsubscribe{"session" + n, "s" + n, {}});
    if (round % 11 == 0) both(ExpireSessions{first.last - 3, {"session1", "session" + n}});
  }
  MachineFixture second;
  for (const auto& bytes : log) second.apply_bytes(bytes);
  CHECK(first.tables.rows == second.tables.rows);
}

}  // namespace
}  // namespace iris
