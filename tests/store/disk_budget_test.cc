// The disk budget: space for what RocksDB writes after a write was accepted.
#include <algorithm>
#include <fstream>
#include <iterator>
#include <memory>
#include <optional>
#include <random>
#include <string>

#include "tests/store/fixture.h"

#include "tests/catch.h"  // last: its CHECK must not stand in for raft/check.h's

namespace iris::store::test {

namespace {

constexpr std::size_t value_bytes = 64u << 10;
constexpr std::uint64_t values = 256;  // 16 MiB

// Overwrites a few keys again and again with values that do not compress: a compaction leaves
// little of them.
void overwrite(Opened& node) {
  std::vector<raft::EntryPtr> entries;
  for (std::uint64_t i = 1; i <= values; ++i) entries.push_back(entry(1, i));
  node.await_durable(node.write(std::move(entries), raft::HardState{{1}, {}}));
  std::mt19937_64 random(1);
  std::string value(value_bytes, '\0');
  for (std::uint64_t i = 1; i <= values; ++i) {
    for (char& byte : value) byte = static_cast<char>(random());
    node.apply(
        1, i, [i, value](Batch& batch) { batch.put(Table::values, std::to_string(i % 4), value); });
    node.await_applied(i);
  }
}

// Each value becomes a table of its own.
void small(RocksOptions& options) {
  options.data_memtable_bytes = value_bytes;
  options.data_memtables_merged = 1;
}

void nothing_fits(RocksOptions& options) { options.disk_kept_free_bytes = std::uint64_t{1} << 60; }

// RocksDB notes it in its own log.
bool put_off(const std::string& raft_folder) {
  std::ifstream log(raft_folder + "/data/LOG");
  const std::string text{std::istreambuf_iterator<char>(log), {}};
  return text.find("Compaction too large") != std::string::npos;
}

std::size_t tables(const std::string& raft_folder) {
  return files_in(raft_folder + "/data", ".sst").size();
}

}  // namespace

TEST_CASE("memtables do not count as free space (hazard 96)") {
  const TempFolder folder;
  Opened node(folder.raft(), [](RocksOptions& options) {
    options.data_memtable_bytes = 4 * values * value_bytes;
  });
  const std::size_t tables_before = tables(folder.raft());
  overwrite(node);
  REQUIRE(tables(folder.raft()) == tables_before);
  const std::uint64_t before = free_bytes(folder.path());
  const std::uint64_t told = node.available_bytes();
  const std::uint64_t after = free_bytes(folder.path());
  REQUIRE(told + values * value_bytes <= std::max(before, after));
}

TEST_CASE("the space that compactions need does not count as free (hazard 96)") {
  const TempFolder folder;
  Opened node(folder.raft(), [](RocksOptions& options) {
    small(options);
    nothing_fits(options);
  });
  overwrite(node);
  const auto total = [&] {
    std::uint64_t bytes = 0;
    for (const std::string& table : files_in(folder.raft(), ".sst")) bytes += size_of(table);
    return bytes;
  };
  REQUIRE(total() > values * value_bytes / 2);
  // All tables are on level 0. Other programs use the disk meanwhile.
  REQUIRE(node.loop().run_until([&] {
    const std::uint64_t before = free_bytes(folder.path());
    const std::uint64_t told = node.available_bytes();
    return told + total() <= std::max(before, free_bytes(folder.path()));
  }));
}

TEST_CASE(
    "a compaction is put off while it would not fit, and nothing fails or waits (hazard 96)") {
  const TempFolder folder;
  constexpr std::size_t many =
      40;  // RocksDB's defaults slow writers down at 20 and stop them at 36
  {
    Opened node(folder.raft(), [&](RocksOptions& options) {
      small(options);
      nothing_fits(options);
    });
    overwrite(node);
    REQUIRE(node.loop().run_until([&] { return tables(folder.raft()) >= many; }));
    REQUIRE(node.failures.empty());
    REQUIRE(node.read(Table::values, "1").has_value());
  }
  {
    // It is put off at a start too, before anything is written or the disk is checked.
    const std::size_t before = tables(folder.raft());
    Opened node(folder.raft(), nothing_fits);
    REQUIRE(node.loop().run_until([&] { return put_off(folder.raft()); }));
    REQUIRE(tables(folder.raft()) >= before);
  }
  Opened node(folder.raft(), small);
  node.await_durable(node.write({entry(1, values + 1)}));
  node.apply(1, values + 1, [](Batch& batch) { batch.put(Table::values, "k", "v"); });
  REQUIRE(node.loop().run_until([&] { return tables(folder.raft()) < many; }));
  REQUIRE(node.failures.empty());
}

TEST_CASE(
    "a snapshot that would leave the log no space is refused, and the node lives (hazard 96)") {
  const TempFolder folder;
  Opened source(folder.path() + "/source");
  source.fill(2, 1, 50);
  const std::unique_ptr<Export> pinned = source->pin();
  std::string stream;
  pinned->read(1u << 20, [&](Result<std::string> bytes) { stream = *bytes; });
  REQUIRE(source.loop().run_until([&] { return !stream.empty(); }));
  const bool fits = GENERATE(true, false);
  Opened node(folder.raft(), [&](RocksOptions& options) {
    options.disk_kept_free_bytes = fits ? 0 : std::uint64_t{1} << 60;
  });
  std::optional<Status> taken;
  std::optional<Status> whole;
  node->import_begin(pinned->mark());
  node->import_chunk(stream, [&](const Status& status) { taken = status; });
  node->import_finish([&](const Status& status) { whole = status; });
  REQUIRE(node.loop().run_until([&] { return whole.has_value(); }));
  REQUIRE(taken->has_value() == fits);
  REQUIRE(whole->has_value() == fits);
  if (!fits) {
    REQUIRE(taken->error().code == Errc::io);
    REQUIRE(taken->error().text.find("free") != std::string::npos);
    REQUIRE(whole->error().text == taken->error().text);
  }
  REQUIRE(node.failures.empty());
  node.fill(1, 1, 5);
}

}  // namespace iris::store::test
