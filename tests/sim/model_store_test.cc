// The model store keeps the promises of store/store.h, and a crash loses only unsynced writes.
#include "tests/sim/model_store.h"

#include <map>
#include <vector>

#include "tests/catch.h"
#include "tests/sim/model_view.h"

namespace iris::sim {
namespace {

using raft::Entry;
using raft::EntryId;
using raft::EntryPtr;
using raft::Index;
using raft::LogWrite;
using raft::Term;
using raft::Ticket;
using store::Table;

EntryPtr entry(std::uint64_t term, std::uint64_t index, std::string command = "c") {
  return std::make_shared<Entry>(Entry{{{term}, {index}}, raft::Command(std::move(command))});
}

raft::SnapshotMetadata mark(std::uint64_t term, std::uint64_t index) {
  return {{{term}, {index}}, {{{{1}, "a:1"}}, {}, {}}, {1}};
}

// A store without a schedule, and its completions.
struct Open {
  explicit Open(ModelDisk& disk) : store(disk) {
    store.start({[this](Ticket ticket) { durable = ticket; },
                 [this](Error error) { failures.push_back(std::move(error)); }});
  }
  void write(std::uint64_t ticket, std::vector<EntryPtr> entries) {
    LogWrite write;
    write.ticket = {ticket};
    write.entries = std::move(entries);
    store.write(std::move(write));
  }
  void put(std::uint64_t term, std::uint64_t index, const std::string& key,
           const std::string& value) {
    store.apply(
        {{{term}, {index}}, std::nullopt, {}},
        [=](store::Batch& batch) { batch.put(Table::values, key, value); },
        [this, index] { applied = index; });
  }
  std::string get(const std::string& key) const {
    std::string value;
    return store.cached().get(Table::values, key, value) == store::Found::yes ? value : "-";
  }
  void import(const raft::SnapshotMetadata& of, const std::string& bytes) {
    store.import_begin(of);
    store.import_chunk(bytes, [](const Status& status) { REQUIRE(status); });
    store.settle();
    store.import_finish([this](const Status& status) { imported = status.has_value(); });
    store.settle();
  }

  ModelStore store;
  Ticket durable;
  std::uint64_t applied = 0;
  bool imported = false;
  std::vector<Error> failures;
};

constexpr ModelDisk::Crash lose_all{ModelDisk::Keep::none, ModelDisk::Keep::none, true};
constexpr ModelDisk::Crash keep_all{ModelDisk::Keep::all, ModelDisk::Keep::all, true};

}  // namespace

TEST_CASE("a persistent map equals std::map, and its old copies do not change") {
  Random random(7);
  std::map<std::string, std::string> expected;
  PersistentMap map;
  std::vector<std::pair<PersistentMap, std::map<std::string, std::string>>> copies;
  for (int step = 0; step < 3000; ++step) {
    const std::string key = std::to_string(random.below(200));
    if (random.below(3) == 0) {
      REQUIRE(map.erase(key) == (expected.erase(key) == 1));
    } else {
      const std::string value = std::to_string(random.next());
      map.put(key, value);
      expected[key] = value;
    }
    if (step % 300 == 0) copies.emplace_back(map, expected);
  }
  copies.emplace_back(map, expected);
  for (const auto& [copy, contents] : copies) {
    REQUIRE(copy.size() == contents.size());
    PersistentMap again;
    PersistentMap::Cursor at(copy, "");
    for (const auto& [key, value] : contents) {
      REQUIRE((at.valid() && at.key() == key && at.value() == value));
      REQUIRE(*copy.find(key) == value);
      again.put(key, value);
      at.next();
    }
    REQUIRE(!at.valid());
    REQUIRE(again.digest() == copy.digest());
  }
}

TEST_CASE("one ack covers every job that was queued, and none comes from inside the call") {
  ModelDisk disk({1}, 1);
  Open open(disk);
  open.write(1, {entry(1, 1)});
  open.write(2, {entry(1, 2)});
  open.write(3, {entry(1, 3)});
  REQUIRE(open.durable.value == 0);
  REQUIRE(open.store.run(Lane::log));  // the first job alone: the lane was idle
  REQUIRE(open.store.run(Lane::log));
  REQUIRE(open.durable.value == 1);
  open.store.settle();
  REQUIRE(open.durable.value == 3);
  REQUIRE(disk.log().last().value == 3);
}

TEST_CASE("a crash keeps a prefix of the un-synced jobs and of the un-synced data") {
  bool seen[4] = {};
  for (std::uint64_t seed = 0; seed < 64; ++seed) {
    ModelDisk disk({1}, seed);
    {
      Open open(disk);
      open.write(1, {entry(1, 1), entry(1, 2), entry(1, 3)});
      open.store.settle();
      for (std::uint64_t i = 1; i <= 3; ++i) {
        open.put(1, i, "k", std::to_string(i));
        open.store.settle();
      }
      REQUIRE(open.applied == 3);
    }
    disk.crash({});
    Open open(disk);
    const std::uint64_t applied = open.store.recovered().raft.applied.value;
    REQUIRE(open.get("k") == (applied == 0 ? "-" : std::to_string(applied)));
    REQUIRE(open.store.recovered().raft.entries.size() == 3);
    seen[applied] = true;
  }
  REQUIRE((seen[0] && seen[1] && seen[2] && seen[3]));
}

TEST_CASE("a crash may lose unacknowledged writes and no others") {
  ModelDisk disk({1}, 1);
  {
    Open open(disk);
    open.write(1, {entry(1, 1)});
    open.store.settle();
    open.write(2, {entry(1, 2)});
  }
  ModelDisk copy = disk;
  disk.crash(lose_all);
  copy.crash(keep_all);
  REQUIRE(Open(disk).store.recovered().raft.entries.size() == 1);
  REQUIRE(Open(copy).store.recovered().raft.entries.size() == 2);
}

TEST_CASE("trim syncs the data before it drops the log (hazard 65)") {
  ModelDisk disk({1}, 1);
  {
    Open open(disk);
    open.write(1, {entry(1, 1), entry(1, 2), entry(1, 3)});
    open.put(1, 2, "k", "two");
    open.store.settle();
    bool trimmed = false;
    open.store.trim(mark(1, 2), [&] { trimmed = true; });
    open.store.settle();
    REQUIRE(trimmed);
  }
  disk.crash(lose_all);
  Open open(disk);
  REQUIRE(open.get("k") == "two");
  REQUIRE(open.store.recovered().raft.floor == mark(1, 2));
  REQUIRE(open.store.recovered().raft.entries.size() == 1);
}

TEST_CASE("an install flips data and log at once, or leaves data that restarts the log (60)") {
  ModelDisk source({1}, 1);
  Open from(source);
  from.put(2, 9, "k", "nine");
  from.store.settle();
  std::string bytes;
  const auto pinned = from.store.pin();
  from.put(2, 10, "k", "ten");  // not part of what is pinned
  for (bool end = false; !end;) {
    pinned->read(7, [&](Result<std::string> chunk) {
      end = chunk->empty();
      bytes += *chunk;
    });
    from.store.settle();
  }

  bool seen_old = false, seen_torn = false, seen_new = false;
  for (std::uint64_t seed = 0; seed < 64; ++seed) {
    ModelDisk disk({2}, seed);
    {
      Open open(disk);
      open.write(1, {entry(1, 1), entry(1, 2)});
      open.store.settle();
      open.import(mark(2, 9), bytes);
      REQUIRE(open.imported);
      LogWrite install;
      install.ticket = {2};
      install.state = raft::HardState{{3}, {0}};
      install.install = mark(2, 9);
      open.store.write(std::move(install));
      REQUIRE(open.get("k") == "-");
    }
    disk.crash({});
    Open open(disk);
    const raft::Recovered& found = open.store.recovered().raft;
    const bool flipped = open.get("k") == "nine";
    REQUIRE(found.applied.value == (flipped ? 9 : 0));
    REQUIRE(found.entries.size() == (flipped ? 0 : 2));
    if (flipped) REQUIRE(found.floor == mark(2, 9));
    seen_old |= !flipped;
    seen_torn |= flipped && found.state.term.value == 0;
    seen_new |= flipped && found.state.term.value == 3;
  }
  REQUIRE((seen_old && seen_torn && seen_new));
}

TEST_CASE("a damaged snapshot is not staged (hazard 68)") {
  ModelDisk disk({1}, 1);
  Open open(disk);
  open.put(1, 1, "key", "value");
  open.store.settle();
  const std::string good = export_state(disk.data());
  for (std::size_t i = 0; i < good.size(); ++i) {
    std::string bad = good;
    bad[i] = static_cast<char>(bad[i] ^ 4);
    open.import(mark(1, 5), bad);
    REQUIRE(!open.imported);
    open.import(mark(1, 5), good.substr(0, i));
    REQUIRE(!open.imported);
  }
  open.import(mark(1, 5), good);
  REQUIRE(open.imported);
}

TEST_CASE("a refused write is told once and nothing succeeds after it (hazards 95, 96)") {
  ModelDisk disk({1}, 1);
  disk.profile.capacity_bytes = 1000;
  Open open(disk);
  open.write(1, {entry(1, 1, std::string(2000, 'x'))});
  open.store.settle();
  open.write(2, {entry(1, 1)});
  open.put(1, 1, "k", "v");
  open.store.settle();
  REQUIRE(open.failures.size() == 1);
  REQUIRE(open.failures[0].code == Errc::io);
  REQUIRE(open.durable.value == 0);
  REQUIRE(open.applied == 0);
}

TEST_CASE("hold_applied sees the jobs before it and none after it, though they share a batch") {
  ModelDisk disk({1}, 1);
  Open open(disk);
  std::shared_ptr<const store::View> held;
  open.put(1, 1, "k", "before");
  open.store.hold_applied([&](std::shared_ptr<const store::View> view) { held = std::move(view); });
  open.put(1, 2, "k", "after");
  REQUIRE(held == nullptr);
  open.store.settle();
  REQUIRE(held != nullptr);
  std::string value;
  REQUIRE(held->applied() == Index{1});
  REQUIRE(held->get(Table::values, "k", value) == store::Found::yes);
  REQUIRE(value == "before");
  REQUIRE(open.get("k") == "after");
}

TEST_CASE("a held view stays as it was; a batch sees its own writes") {
  ModelDisk disk({1}, 1);
  Open open(disk);
  open.put(1, 1, "a1", "x");
  open.store.settle();
  const auto held = open.store.hold();
  open.store.maintain(
      [](store::Batch& batch) {
        batch.put(Table::values, "a2", "y");
        std::string value;
        REQUIRE(batch.get(Table::values, "a2", value) == store::Found::yes);
        batch.remove_prefix(Table::values, "a");
        REQUIRE(batch.get(Table::values, "a1", value) == store::Found::no);
        REQUIRE(!batch.scan(Table::values, "a", "")->valid());
        batch.put(Table::values, "b", "z");
      },
      nullptr);
  open.store.settle();
  REQUIRE(open.get("a1") == "-");
  int rows = 0;
  open.store.read_held(
      held,
      [&](const store::View& view) {
        for (auto at = view.scan(Table::values, "a", ""); at->valid(); at->next()) ++rows;
      },
      nullptr);
  open.store.settle();
  REQUIRE(rows == 1);
}

}  // namespace iris::sim
