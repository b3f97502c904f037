// A power cut, after which all that was not synced may be lost or half lost. And a disk that
// refuses an operation: the store reports it once, acknowledges nothing more and never tries again.
#include <filesystem>
#include <random>
#include <string>

#include "tests/store/fixture.h"
#include "tests/store/test_disk.h"

#include "tests/catch.h"  // last: its CHECK must not stand in for raft/check.h's

namespace iris::store::test {
namespace {

std::string command(std::uint64_t index) {
  return "command " + std::to_string(index) + std::string(index % 500, '.');
}

// Adds the index to a sum, which shows an entry that was applied twice or left out.
void add(Batch& batch, std::uint64_t index) {
  std::string sum;
  if (batch.get(Table::values, "sum", sum) != Found::yes) sum = "0";
  batch.put(Table::values, "sum", std::to_string(std::stoull(sum) + index));
}

void use(RocksOptions& options, const TestDisk& disk) {
  options.env = disk.env();
  options.log_memtable_bytes = 64u << 10;  // small, so that files come and go
  options.data_memtable_bytes = 64u << 10;
}

}  // namespace

TEST_CASE("a power cut at any moment loses nothing that was acknowledged (hazards 65, 70, 99)") {
  constexpr int rounds = 40;
  constexpr std::uint64_t appends = 60;
  std::mt19937 random(71);
  TempFolder folder;
  std::string path = folder.path() + "/0";
  for (int round = 1; round <= rounds; ++round) {
    const TestDisk disk;
    const std::string next = folder.path() + "/" + std::to_string(round);
    std::uint64_t durable = 0;
    std::uint64_t applied = 0;
    {
      Opened node(path, [&](RocksOptions& options) { use(options, disk); });
      const raft::Recovered& found = node.raft();
      const std::uint64_t floor = found.floor.last.index.value;
      const std::uint64_t base = floor + found.entries.size();
      for (const raft::EntryPtr& one : found.entries) {
        REQUIRE(std::get<raft::Command>(one->payload) == command(one->id.index.value));
      }
      applied = found.applied.value;
      const std::uint64_t sum = applied * (applied + 1) / 2;
      REQUIRE(node.read(Table::values, "sum").value_or("0") == std::to_string(sum));
      // The cut comes while the lanes work on the last jobs.
      const std::uint64_t cut_at = base + 1 + random() % appends;
      for (std::uint64_t i = base + 1; i <= cut_at; ++i) {
        node.write({entry(1, i, command(i))}, raft::HardState{{1}, {}});
        if (random() % 4 != 0) continue;
        node.await_durable({i - base});
        durable = i;
        for (; applied < durable; ++applied) {
          node.apply(1, applied + 1, [at = applied + 1](Batch& batch) { add(batch, at); });
        }
        if (random() % 4 != 0 || durable < floor + 40) continue;
        node.await_applied(applied);
        node->trim(mark(1, applied - random() % 20), [] {});
      }
      disk.power_cut(path, next, random);
    }
    INFO("round " << round << ", durable " << durable);
    std::filesystem::remove_all(path);
    path = next;
    const Opened after(path);
    const raft::Recovered& found = after.raft();
    REQUIRE(found.floor.last.index.value + found.entries.size() >= durable);
  }
}

// The data is not synced and has several write-ahead files: one of them could survive whole, and
// the one before it not at all.
TEST_CASE("the data has no gap after a power cut (hazards 70, 100)") {
  constexpr int cuts = 24;
  constexpr std::uint64_t enough = 200;
  constexpr std::uint64_t last = 2000;
  std::mt19937 random(17);
  const TempFolder folder;
  const TestDisk disk;
  const auto copy = [&](int cut) { return folder.path() + "/" + std::to_string(cut); };
  {
    Opened node(folder.raft(), [&](RocksOptions& options) { use(options, disk); });
    std::vector<raft::EntryPtr> entries;
    for (std::uint64_t i = 1; i <= last; ++i) entries.push_back(entry(1, i, command(i)));
    node.await_durable(node.write(std::move(entries), raft::HardState{{1}, {}}));
    // One write-ahead file after the other is begun with the rows. All are deleted together, when
    // the rows are in tables.
    const auto files = [&] { return files_in(folder.raft() + "/data", ".log").size(); };
    for (std::uint64_t i = 1; i <= enough || files() <= 2; ++i) {
      REQUIRE(i <= last);
      node.apply(1, i, [i](Batch& batch) {
        batch.put(Table::values, std::to_string(i), std::string(2048, 'x'));
      });
      node.await_applied(i);
    }
    for (int cut = 0; cut < cuts; ++cut) disk.power_cut(folder.raft(), copy(cut), random);
  }
  for (int cut = 0; cut < cuts; ++cut) {
    Opened node(copy(cut));
    INFO("cut " << cut << ", applied " << node.raft().applied.value);
    REQUIRE(node.scan(Table::values).size() == node.raft().applied.value);
  }
}

TEST_CASE("a power cut at any step of an installation leaves the old state or the new (60)") {
  const std::vector<std::string> steps{"install noted", "family made",  "files moved",
                                       "data flipped",  "data flushed", "old data dropped",
                                       "log restarted"};
  std::mt19937 random(5);
  const TempFolder folder;
  const TestDisk disk;
  const std::string path = folder.path() + "/before";
  const auto cut = [&](const std::string& step) { return folder.path() + "/" + step; };
  raft::SnapshotMetadata of;
  {
    Opened source(folder.path() + "/source");
    source.fill(2, 1, 50);
    const std::unique_ptr<Export> pinned = source->pin();
    of = pinned->mark();
    std::string stream;
    pinned->read(1u << 20, [&](const Result<std::string>& bytes) { stream = *bytes; });
    REQUIRE(source.loop().run_until([&] { return !stream.empty(); }));
    Opened node(path, [&](RocksOptions& options) {
      use(options, disk);
      options.on_step = [&](std::string_view step) {
        disk.power_cut(path, cut(std::string(step)), random);
      };
    });
    node.fill(1, 1, 5);
    node->import_begin(of);
    node->import_chunk(stream, [](const Status& status) { REQUIRE(status.has_value()); });
    bool staged = false;
    node->import_finish([&](const Status& status) { staged = status.has_value(); });
    REQUIRE(node.loop().run_until([&] { return staged; }));
    node.await_durable(node.install(of, {entry(2, 51)}, raft::HardState{{2}, {}}));
    disk.power_cut(path, cut("acknowledged"), random);
  }
  bool flipped = false;
  for (const std::string& step : steps) {
    INFO(step);
    flipped = flipped || step == "data flipped";
    Opened node(cut(step));
    REQUIRE(node.raft().state.term == raft::Term{2});
    REQUIRE(node.raft().floor == (flipped ? of : raft::SnapshotMetadata{}));
    if (flipped) {
      REQUIRE(node.raft().applied == raft::Index{50});
      REQUIRE(node.scan(Table::values).size() == 50);
    } else {
      REQUIRE(node.raft().entries.size() == 5);
      REQUIRE(node.scan(Table::values).size() == node.raft().applied.value);
    }
  }
  Opened node(cut("acknowledged"));
  REQUIRE(node.raft().floor == of);
  REQUIRE(node.raft().entries.size() == 1);
  REQUIRE(node.scan(Table::values).size() == 50);
}

TEST_CASE("a log that cannot be written or synced ends the node, with no retry (hazards 95, 96)") {
  const TestDisk::Refusal what = GENERATE(TestDisk::Refusal::write, TestDisk::Refusal::sync);
  const TempFolder folder;
  TestDisk disk;
  {
    Opened node(folder.raft(), [&](RocksOptions& options) { options.env = disk.env(); });
    node.fill(1, 1, 10);
    disk.refuse_once(what, "/log/");
    const raft::Ticket before = node.durable;
    const raft::Ticket lost = node.write({entry(1, 11)});
    node.await_failure();
    REQUIRE(disk.refused());
    REQUIRE(node.failures[0].code == Errc::io);
    REQUIRE(node.failures[0].text.find(folder.raft()) != std::string::npos);
    const std::uint64_t tried = disk.operations("/log/");
    node.write({entry(1, 12)});
    bool answered = false;
    node->read([](const View&) {}, [&answered] { answered = true; });
    node.apply(1, 11);
    REQUIRE_FALSE(
        node.loop().run_until([&] { return answered || node.durable >= lost || node.applied > 10; },
                              std::chrono::milliseconds(200)));
    REQUIRE(node.durable == before);
    REQUIRE(disk.operations("/log/") == tried);
    REQUIRE(node.failures.size() == 1);
  }
  Opened node(folder.raft());  // everything acknowledged is there
  REQUIRE(node.raft().entries.size() >= 10);
}

TEST_CASE("data that cannot be written ends the node, with no answer to its batch (96)") {
  const TempFolder folder;
  TestDisk disk;
  {
    Opened node(folder.raft(), [&](RocksOptions& options) { options.env = disk.env(); });
    node.fill(1, 1, 10);
    disk.refuse_once(TestDisk::Refusal::write, "/data/");
    node.apply(1, 11, [](Batch& batch) { batch.put(Table::values, "k", "v"); });
    node.await_failure();
    REQUIRE(node.applied == 10);
  }
  Opened node(folder.raft());
  REQUIRE(node.raft().applied <= raft::Index{10});
}

TEST_CASE("a background write that fails ends the node as well (hazard 96)") {
  const TempFolder folder;
  TestDisk disk;
  Opened node(folder.raft(), [&](RocksOptions& options) { use(options, disk); });
  node.fill(1, 1, 10);
  disk.refuse_once(TestDisk::Refusal::write, ".sst");
  std::uint64_t index = 10;
  REQUIRE(node.loop().run_until([&] {  // until a memtable is full and is flushed
    ++index;
    node.write({entry(1, index, std::string(8000, 'x'))});
    return !node.failures.empty();
  }));
  REQUIRE(disk.refused());
  REQUIRE(node.failures.size() == 1);
}

TEST_CASE("a data sync that fails leaves the log as it is (hazard 65)") {
  const TempFolder folder;
  TestDisk disk;
  {
    Opened node(folder.raft(), [&](RocksOptions& options) { options.env = disk.env(); });
    node.fill(1, 1, 10);
    disk.refuse_once(TestDisk::Refusal::sync, "/data/");
    bool trimmed = false;
    node->trim(mark(1, 8), [&trimmed] { trimmed = true; });
    node.await_failure();
    REQUIRE_FALSE(trimmed);
  }
  Opened node(folder.raft());
  REQUIRE(node.raft().entries.size() == 10);
}

TEST_CASE("a snapshot that finds no space is refused, and the node lives (hazard 96)") {
  const TempFolder folder;
  TestDisk disk;
  Opened source(folder.path() + "/source");
  source.fill(2, 1, 50);
  const std::unique_ptr<Export> pinned = source->pin();
  std::string stream;
  bool answered = false;
  pinned->read(1u << 20, [&](Result<std::string> bytes) {
    stream = *bytes;
    answered = true;
  });
  REQUIRE(source.loop().run_until([&] { return answered; }));
  Opened node(folder.raft(), [&](RocksOptions& options) { options.env = disk.env(); });
  disk.refuse_once(TestDisk::Refusal::write, "/staging/");
  node->import_begin(pinned->mark());
  node->import_chunk(stream, [](const Status&) {});
  std::optional<Errc> verdict;
  node->import_finish([&](const Status& status) { verdict = status.error().code; });
  REQUIRE(node.loop().run_until([&] { return verdict.has_value(); }));
  REQUIRE(*verdict == Errc::io);
  REQUIRE(node.failures.empty());
  node.fill(1, 1, 5);
}

}  // namespace iris::store::test
