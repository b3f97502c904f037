// Snapshots: exported from one store, carried in pieces, installed in another; also cut, damaged,
// and with a crash at each step.
#include "store/snapshot.h"

#include <sys/wait.h>
#include <unistd.h>

#include <deque>
#include <filesystem>
#include <string>

#include "tests/store/fixture.h"

#include "tests/catch.h"  // last: its CHECK must not stand in for raft/check.h's

namespace iris::store::test {
namespace {

Status take_in(Opened& node, const raft::SnapshotMetadata& of, const std::string& stream,
               std::size_t piece_bytes) {
  node->import_begin(of);
  Status last = Unit{};
  std::size_t answers = 0;
  std::size_t pieces = 0;
  for (std::size_t at = 0; at < stream.size(); at += piece_bytes, ++pieces) {
    node->import_chunk(stream.substr(at, piece_bytes), [&](const Status& status) {
      if (!status && last) last = status;
      ++answers;
    });
  }
  REQUIRE(node.loop().run_until([&] { return answers == pieces; }));
  if (!last) return last;
  bool finished = false;
  node->import_finish([&](const Status& status) {
    last = status;
    finished = true;
  });
  REQUIRE(node.loop().run_until([&] { return finished; }));
  return last;
}

// A node with `rows` values at (term 3, index 10), and the stream of it.
struct Source {
  explicit Source(int rows = 1000) {
    std::vector<raft::EntryPtr> entries;
    for (std::uint64_t i = 1; i <= 10; ++i) entries.push_back(entry(3, i));
    Opened node(folder.raft());
    node.await_durable(node.write(entries, raft::HardState{{3}, {}}));
    node.apply(3, 1, nullptr, members_of({1, 2, 3}));
    node.apply(3, 10, [rows](Batch& batch) {
      for (int i = 0; i < rows; ++i) {
        batch.put(Table::values, "key " + std::to_string(i), "value " + std::to_string(i));
      }
      batch.put(Table::sources, "source", "counts");
      batch.put(Table::subscriptions, std::string("\0\xff", 2), "");
    });
    node.await_applied(10);
    const std::unique_ptr<Export> pinned = node->pin();
    of = pinned->mark();
    stream = read_all(node, *pinned, 1000);
  }
  TempFolder folder;
  raft::SnapshotMetadata of;
  std::string stream;
};

// Checks a store that has installed the snapshot of `source`.
void require_installed(Opened& node, const Source& source, int rows = 1000) {
  REQUIRE(node.scan(Table::values).size() == static_cast<std::size_t>(rows));
  REQUIRE(node.read(Table::sources, "source") == "counts");
  REQUIRE(node.read(Table::subscriptions, std::string("\0\xff", 2)) == "");
  const std::unique_ptr<Export> again = node->pin();
  REQUIRE(again->mark() == source.of);
  REQUIRE(read_all(node, *again, 4096) == source.stream);  // the same bytes on each node
}

}  // namespace

TEST_CASE("a snapshot carries every table and its mark to another node, in pieces of any size") {
  const Source source;
  REQUIRE(source.of == mark(3, 10));
  const std::size_t piece = GENERATE(std::size_t{1009}, std::size_t{1} << 20);
  const TempFolder folder;
  {
    Opened node(folder.raft());
    node.fill(2, 1, 4);
    REQUIRE(take_in(node, source.of, source.stream, piece).has_value());
    REQUIRE(node.scan(Table::values).size() == 4);  // a staged snapshot is not installed
    node.await_durable(node.install(source.of, {entry(3, 11)}, raft::HardState{{3}, {2}}));
    REQUIRE_FALSE(node.read(Table::values, "1").has_value());
    std::string value;
    REQUIRE(node->cached().get(Table::values, "1", value) != Found::yes);
    require_installed(node, source);
    node.apply(3, 11, [](Batch& batch) { batch.put(Table::values, "after", "11"); });
    node.await_applied(11);
    REQUIRE(files_in(folder.raft(), ".sst").size() < 20);
    REQUIRE(files_in(folder.raft() + "/staging", "").empty());
  }
  Opened node(folder.raft());
  REQUIRE(node.raft().state == raft::HardState{{3}, {2}});
  REQUIRE(node.raft().floor == source.of);
  REQUIRE(node.raft().applied == raft::Index{11});
  REQUIRE(node.raft().entries.size() == 1);
  REQUIRE(*node.raft().entries[0] == *entry(3, 11));
  REQUIRE(node.read(Table::values, "after") == "11");
}

TEST_CASE("an empty state and rows larger than a block make whole snapshots") {
  const TempFolder folder;
  Opened node(folder.raft());
  const auto check = [&](const std::string& stream, std::uint64_t rows) {
    std::uint64_t seen = 0;
    SnapshotReader reader({[](const raft::SnapshotMetadata&) { return Status(Unit{}); },
                           [&seen](Table, std::string_view, std::string_view) {
                             ++seen;
                             return Status(Unit{});
                           }});
    REQUIRE(reader.feed(stream).has_value());
    REQUIRE(reader.finish().has_value());
    REQUIRE(seen == rows);
    REQUIRE(reader.rows() == rows);
    REQUIRE(reader.bytes() == stream.size());
  };
  check(read_all(node, *node->pin(), 100), 0);
  node.apply(1, 1, [](Batch& batch) {
    batch.put(Table::values, "large", std::string(3 * snapshot_block_bytes, 'x'));
    batch.put(Table::values, "small", "x");
  });
  node.await_applied(1);
  check(read_all(node, *node->pin(), 100'000), 2);
}

TEST_CASE("an export is the state of its pin, whatever is applied meanwhile (hazard 69)") {
  const Source source;
  const TempFolder folder;
  Opened node(folder.raft());
  REQUIRE(take_in(node, source.of, source.stream, 4096).has_value());
  node.await_durable(node.install(source.of, {}, raft::HardState{{3}, {}}));
  const std::unique_ptr<Export> pinned = node->pin();
  bool answered = false;
  std::string stream;
  pinned->read(100, [&](Result<std::string> bytes) {
    stream += *bytes;
    answered = true;
  });
  REQUIRE(node.loop().run_until([&] { return answered; }));
  node.apply(3, 11, [](Batch& batch) { batch.remove_prefix(Table::values, ""); });
  node.await_applied(11);
  REQUIRE(stream + read_all(node, *pinned, 1000) == source.stream);
}

TEST_CASE(
    "an export outlives the state it shows: an install under it changes nothing (hazard 64)") {
  const Source source;
  const TempFolder folder;
  Opened node(folder.raft());
  node.fill(1, 1, 200);
  std::unique_ptr<Export> old = node->pin();
  const std::shared_ptr<const View> held = node->hold();
  const std::string before = read_all(node, *node->pin(), 1000);
  raft::SnapshotMetadata later = source.of;
  later.last.index = {300};
  // The rows of the source under a later mark.
  SnapshotWriter writer(later);
  SnapshotReader reader({[](const raft::SnapshotMetadata&) { return Status(Unit{}); },
                         [&writer](Table table, std::string_view key, std::string_view value) {
                           writer.row(table, key, value);
                           return Status(Unit{});
                         }});
  REQUIRE(reader.feed(source.stream).has_value());
  writer.finish();
  REQUIRE(take_in(node, later, writer.take(writer.ready_bytes()), 4096).has_value());
  node.await_durable(node.install(later, {}, raft::HardState{{3}, {}}));
  REQUIRE(node.scan(Table::values).size() == 1000);
  REQUIRE(read_all(node, *old, 1000) == before);
  std::string value;
  bool done = false;
  node->read_held(
      held, [&](const View& view) { REQUIRE(view.get(Table::values, "200", value) == Found::yes); },
      [&] { done = true; });
  REQUIRE(node.loop().run_until([&] { return done; }));
}

TEST_CASE("any flipped bit of a stream is noticed, and so is any cut (hazard 68)") {
  const Source source(20);
  const auto verdict = [&](const std::string& stream) {
    SnapshotReader reader(
        {[&](const raft::SnapshotMetadata& found) {
           return found == source.of ? Status(Unit{}) : fail(Errc::corrupt, "another mark");
         },
         [](Table, std::string_view, std::string_view) { return Status(Unit{}); }});
    Status status = reader.feed(stream);
    return status ? reader.finish() : status;
  };
  REQUIRE(verdict(source.stream).has_value());
  for (std::size_t at = 0; at < source.stream.size(); ++at) {
    std::string damaged = source.stream;
    damaged[at] = static_cast<char>(damaged[at] ^ (1 << at % 8));
    REQUIRE_FALSE(verdict(damaged).has_value());
    REQUIRE_FALSE(verdict(source.stream.substr(0, at)).has_value());
  }
  REQUIRE_FALSE(verdict(source.stream + "x").has_value());
}

TEST_CASE("a stream of a newer format and one of absurd lengths are refused in a sentence") {
  const Source source(1);
  const auto refusal = [](const std::string& stream) {
    SnapshotReader reader(
        {[](const raft::SnapshotMetadata&) { return Status(Unit{}); },
         [](Table, std::string_view, std::string_view) { return Status(Unit{}); }});
    const Status status = reader.feed(stream);
    REQUIRE_FALSE(status.has_value());
    return status.error();
  };
  std::string newer = source.stream;
  newer[9] = 3;
  REQUIRE(refusal(newer).code == Errc::refused);
  REQUIRE(refusal(newer).text.find("format 3") != std::string::npos);
  newer[9] = 2;  // of a cluster above level 0, and its mark says level 0
  REQUIRE(refusal(newer).text.find("header cannot be read") != std::string::npos);
  std::string long_header = source.stream;
  long_header[10] = '\x7f';
  REQUIRE(refusal(long_header).text.find("longer than it can be") != std::string::npos);
  std::string long_block = source.stream;
  long_block[source.stream.find('B', 18) + 1] = '\x7f';
  REQUIRE_FALSE(refusal(long_block).text.empty());
  REQUIRE(refusal("not a snapshot at all").text.find("no snapshot of Iris") != std::string::npos);
}

TEST_CASE("a damaged stream is not staged; the next one is (hazards 63, 68)") {
  const Source source;
  const TempFolder folder;
  Opened node(folder.raft());
  node.fill(1, 1, 5);
  std::string damaged = source.stream;
  damaged[damaged.size() / 2] ^= 1;
  const Status refused = take_in(node, source.of, damaged, 4096);
  REQUIRE_FALSE(refused.has_value());
  REQUIRE(refused.error().code == Errc::corrupt);
  REQUIRE_FALSE(
      take_in(node, mark(3, 11), source.stream, 4096).has_value());  // not the announced mark
  REQUIRE_FALSE(take_in(node, source.of, source.stream.substr(0, 5000), 4096).has_value());
  REQUIRE(node.failures.empty());
  REQUIRE(node.scan(Table::values).size() == 5);
  REQUIRE(take_in(node, source.of, source.stream, 4096).has_value());
  node.await_durable(node.install(source.of, {}, raft::HardState{{3}, {}}));
  require_installed(node, source);
}

namespace {

// Stages half of the source's stream, and waits until a file has it.
void stage_half(Opened& node, const Source& source) {
  node->import_begin(source.of);
  bool taken = false;
  node->import_chunk(source.stream.substr(0, source.stream.size() / 2),
                     [&taken](const Status& status) { taken = status.has_value(); });
  REQUIRE(node.loop().run_until([&] { return taken; }));
}

}  // namespace

TEST_CASE("child: half an import", "[.child]") {
  const Source source;
  Opened node(setting("FOLDER"));
  stage_half(node, source);
  ::_exit(7);
}

TEST_CASE("an import that is dropped, or cut off by a restart, leaves nothing (hazard 63)") {
  const Source source;
  const TempFolder folder;
  const auto staged_files = [&] { return files_in(folder.raft() + "/staging", ".sst").size(); };
  {
    Opened node(folder.raft());
    node.fill(1, 1, 5);
    stage_half(node, source);
    REQUIRE(staged_files() == 1);
    node->import_drop();
    REQUIRE(node.loop().run_until([&] { return staged_files() == 0; }));
  }
  Child child("child: half an import", {{"FOLDER", folder.raft()}});
  REQUIRE(WEXITSTATUS(child.wait()) == 7);
  REQUIRE(staged_files() == 1);
  Opened node(folder.raft());
  REQUIRE_FALSE(std::filesystem::exists(folder.raft() + "/staging"));
  REQUIRE(node.scan(Table::values).size() == 5);
}

TEST_CASE("a log that holds the mark's own entry keeps the entries after it (paper figure 13)") {
  const Source source;
  const TempFolder folder;
  const bool same = GENERATE(true, false);
  {
    Opened node(folder.raft());
    node.fill(2, 1, 4);
    std::vector<raft::EntryPtr> more;
    for (std::uint64_t i = 5; i <= 12; ++i) more.push_back(entry(same ? 3 : 2, i));
    node.await_durable(node.write(more, raft::HardState{{3}, {}}));
    REQUIRE(take_in(node, source.of, source.stream, 4096).has_value());
    node.await_durable(node.install(source.of));
  }
  Opened node(folder.raft());
  REQUIRE(node.raft().floor == source.of);
  REQUIRE(node.raft().entries.size() == (same ? 2 : 0));
}

namespace {

// A log of term 2 up to index 4; or, where `suffix_held`, of the source's own term up to index 12.
void prepare(Opened& node, const Source& source, bool suffix_held) {
  node.fill(2, 1, 4);
  if (suffix_held) {
    std::vector<raft::EntryPtr> more;
    for (std::uint64_t i = 5; i <= 12; ++i) more.push_back(entry(3, i));
    node.await_durable(node.write(more, raft::HardState{{3}, {}}));
  }
  REQUIRE(take_in(node, source.of, source.stream, 4096).has_value());
}

}  // namespace

TEST_CASE("child: an installation that ends at a step", "[.child]") {
  const Source source;
  Opened node(setting("FOLDER"), [at = setting("STEP")](RocksOptions& options) {
    options.on_step = [at](std::string_view reached) {
      if (reached == at) ::_exit(7);
    };
  });
  prepare(node, source, setting("SUFFIX") == "held");
  node.await_durable(node.install(source.of, {}, raft::HardState{{4}, {9}}));
}

TEST_CASE("a crash at any step of an installation leaves the old state or the new (59, 60)") {
  const Source source;
  const bool suffix_held = GENERATE(false, true);
  const std::vector<std::pair<std::string, bool>> steps{
      {"install noted", false}, {"family made", false}, {"files moved", false},
      {"data flipped", true},   {"data flushed", true}, {"old data dropped", true},
      {"log restarted", true}};
  for (const auto& [step, is_new] : steps) {
    INFO(step << ", suffix held: " << suffix_held);
    const TempFolder folder;
    Child child(
        "child: an installation that ends at a step",
        {{"FOLDER", folder.raft()}, {"STEP", step}, {"SUFFIX", suffix_held ? "held" : "other"}});
    const int status = child.wait();
    REQUIRE(WIFEXITED(status));
    REQUIRE(WEXITSTATUS(status) == 7);
    const std::size_t tail = suffix_held ? 2 : 0;  // entries 11 and 12
    {
      Opened node(folder.raft());
      REQUIRE(node.raft().state == raft::HardState{{4}, {9}});
      if (is_new) {
        REQUIRE(node.raft().floor == source.of);
        REQUIRE(node.raft().applied == raft::Index{10});
        REQUIRE(node.raft().entries.size() == tail);
      } else {
        REQUIRE(node.raft().floor == raft::SnapshotMetadata{});
        REQUIRE(node.raft().applied == raft::Index{4});
        REQUIRE(node.raft().entries.size() == (suffix_held ? 12 : 4));
        REQUIRE(node.scan(Table::values).size() == 4);
        REQUIRE(take_in(node, source.of, source.stream, 4096).has_value());  // again
        node.await_durable(node.install(source.of));
      }
      require_installed(node, source);
    }
    Opened node(folder.raft());  // the installation is complete: nothing is left to do
    REQUIRE(node.raft().floor == source.of);
    REQUIRE(node.raft().entries.size() == tail);
  }
}

TEST_CASE("staged files are never deleted on the loop, not even when an import is dropped") {
  const Source source;
  const TempFolder folder;
  std::deque<std::function<void()>> bulk;
  Opened node(folder.raft(), [&](RocksOptions& options) {
    options.run_lane = [&bulk](LaneName lane, std::function<void()> work) {
      if (lane == LaneName::bulk) bulk.push_back(std::move(work));
    };
  });
  const auto run_bulk = [&bulk] {
    for (; !bulk.empty(); bulk.pop_front()) bulk.front()();
  };
  const auto staged = [&] {
    return std::filesystem::exists(folder.raft() + "/staging") &&
           !std::filesystem::is_empty(folder.raft() + "/staging");
  };
  bool answered = false;
  node->import_begin(source.of);
  node->import_chunk(source.stream, [](const Status&) {});
  node->import_finish([&](const Status&) { answered = true; });
  run_bulk();  // its answer is queued for the loop
  node->import_drop();
  run_bulk();
  REQUIRE(node.loop().run_until([&] { return answered; }));
  REQUIRE(staged());
  run_bulk();
  REQUIRE_FALSE(staged());
}

}  // namespace iris::store::test
