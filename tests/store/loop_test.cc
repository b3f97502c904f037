// What the loop may rely on: no call of the store waits for the disk there, and a state that is
// pinned between two writes knows which of them it contains.
#include <rocksdb/env.h>
#include <rocksdb/file_system.h>

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "src/base/disk_wait.h"
#include "store/applied_marks.h"
#include "tests/store/fixture.h"

#include "tests/catch.h"  // last: its CHECK must not stand in for raft/check.h's

namespace iris::store::test {

namespace {

using rocksdb::FileOptions;
using rocksdb::IODebugContext;
using rocksdb::IOOptions;
using rocksdb::IOStatus;
using rocksdb::Slice;

class AskingReader final : public rocksdb::FSRandomAccessFileOwnerWrapper {
 public:
  using FSRandomAccessFileOwnerWrapper::FSRandomAccessFileOwnerWrapper;
  IOStatus Read(std::uint64_t offset, std::size_t count, const IOOptions& options, Slice* result,
                char* scratch, IODebugContext* debug) const override {
    may_wait_for_disk();
    return target()->Read(offset, count, options, result, scratch, debug);
  }
};

class AskingWriter final : public rocksdb::FSWritableFileOwnerWrapper {
 public:
  using FSWritableFileOwnerWrapper::FSWritableFileOwnerWrapper;
  IOStatus Append(const Slice& data, const IOOptions& options, IODebugContext* debug) override {
    may_wait_for_disk();
    return target()->Append(data, options, debug);
  }
  IOStatus Append(const Slice& data, const IOOptions& options,
                  const rocksdb::DataVerificationInfo& /*info*/, IODebugContext* debug) override {
    return Append(data, options, debug);
  }
  IOStatus Sync(const IOOptions& options, IODebugContext* debug) override {
    may_wait_for_disk();
    return target()->Sync(options, debug);
  }
};

// A file system that asks, at each of RocksDB's operations, whether its thread may wait.
class AskingFiles final : public rocksdb::FileSystemWrapper {
 public:
  AskingFiles() : FileSystemWrapper(rocksdb::FileSystem::Default()) {}
  [[nodiscard]] const char* Name() const override { return "AskingFiles"; }
  IOStatus NewRandomAccessFile(const std::string& path, const FileOptions& options,
                               std::unique_ptr<rocksdb::FSRandomAccessFile>* result,
                               IODebugContext* debug) override {
    may_wait_for_disk();
    std::unique_ptr<rocksdb::FSRandomAccessFile> file;
    IOStatus status = target()->NewRandomAccessFile(path, options, &file, debug);
    if (status.ok()) *result = std::make_unique<AskingReader>(std::move(file));
    return status;
  }
  IOStatus NewWritableFile(const std::string& path, const FileOptions& options,
                           std::unique_ptr<rocksdb::FSWritableFile>* result,
                           IODebugContext* debug) override {
    may_wait_for_disk();
    std::unique_ptr<rocksdb::FSWritableFile> file;
    IOStatus status = target()->NewWritableFile(path, options, &file, debug);
    if (status.ok()) *result = std::make_unique<AskingWriter>(std::move(file));
    return status;
  }
  IOStatus DeleteFile(const std::string& path, const IOOptions& options,
                      IODebugContext* debug) override {
    may_wait_for_disk();
    return target()->DeleteFile(path, options, debug);
  }
  IOStatus RenameFile(const std::string& from, const std::string& to, const IOOptions& options,
                      IODebugContext* debug) override {
    may_wait_for_disk();
    return target()->RenameFile(from, to, options, debug);
  }
  IOStatus GetChildren(const std::string& path, const IOOptions& options,
                       std::vector<std::string>* result, IODebugContext* debug) override {
    may_wait_for_disk();
    return target()->GetChildren(path, options, result, debug);
  }
};

raft::SnapshotMetadata snapshot_of(Opened& node, std::string& stream) {
  const std::unique_ptr<Export> pinned = node->pin();
  stream = read_all(node, *pinned, 1u << 20);
  return pinned->mark();
}

}  // namespace

TEST_CASE(
    "no call of the store waits for the disk on the loop, which knows the applied entry (104)") {
  const TempFolder folder;
  const std::unique_ptr<rocksdb::Env> env =
      rocksdb::NewCompositeEnv(std::make_shared<AskingFiles>());
  const auto settings = [&](RocksOptions& options) {
    options.env = env.get();
    options.block_cache_bytes = 0;  // all that is not in a memtable is on the disk alone
  };
  constexpr std::uint64_t last = 50;
  { Opened(folder.raft(), settings).fill(1, 1, last); }
  Opened source(folder.path() + "/source");
  source.fill(2, 1, 2 * last);
  std::string stream;
  const raft::SnapshotMetadata other = snapshot_of(source, stream);

  Opened node(folder.raft(), settings);  // what was in memtables is in tables now
  const LoopTurn turn;
  REQUIRE(node->take_recovered().raft.entries.size() == last);
  node->adopt({7}, [] {});
  const std::shared_ptr<const View> view = node->hold();
  REQUIRE(view->applied() == raft::Index{last});
  std::string value;
  REQUIRE(node->cached().get(Table::values, "1", value) == Found::incomplete);
  std::string exported;
  REQUIRE(snapshot_of(node, exported).last == raft::EntryId{{1}, {last}});
  REQUIRE(node.available_bytes() > 0);
  std::optional<Found> held;
  node->read_held(
      view, [&](const View& same) { held = same.get(Table::values, "1", value); }, [] {});
  bool maintained = false;
  node->maintain([](Batch& batch) { batch.remove(Table::values, "1"); },
                 [&] { maintained = true; });
  REQUIRE(node.loop().run_until([&] { return maintained; }));
  REQUIRE(node.scan(Table::values).size() == last - 1);
  REQUIRE(held == Found::yes);
  node.await_durable(node.write({entry(2, last + 1)}, raft::HardState{{2}, {}}));
  node.await_trim(mark(1, last / 2));
  std::optional<Status> whole;
  node->import_begin(other);
  node->import_drop();
  node->import_begin(other);
  node->import_chunk(stream, [](const Status& taken) { REQUIRE(taken.has_value()); });
  node->import_finish([&](const Status& status) { whole = status; });
  REQUIRE(node.loop().run_until([&] { return whole.has_value(); }));
  node.await_durable(node.install(other));
  REQUIRE(node->hold()->applied() == other.last.index);
  REQUIRE(node.scan(Table::values).size() == 2 * last);
  REQUIRE(node.failures.empty());
}

TEST_CASE("a state that is pinned amid writes says exactly what it contains (hazard 69)") {
  const TempFolder folder;
  Opened node(folder.raft());
  constexpr std::uint64_t last = 20'000;
  for (std::uint64_t i = 1; i <= last; ++i) {
    node.apply(1, i, [i](Batch& batch) { batch.put(Table::values, "last", std::to_string(i)); });
  }
  std::size_t under_way = 0;
  std::atomic<std::size_t> wrong = 0;
  const auto look = [&] {
    const std::shared_ptr<const View> view = node->hold();
    const std::uint64_t applied = view->applied().value;
    REQUIRE(node->pin()->mark().last.index.value >= applied);
    ++under_way;
    node->read_held(
        view,
        [applied, &wrong](const View& state) {
          std::string value = "0";
          static_cast<void>(state.get(Table::values, "last", value));
          if (value != std::to_string(applied)) ++wrong;
        },
        [&under_way] { --under_way; });
  };
  REQUIRE(node.loop().run_until([&] {
    if (node.applied < last) look();
    return node.applied == last;
  }));
  REQUIRE(node.loop().run_until([&] { return under_way == 0; }));
  REQUIRE(wrong == 0);
  REQUIRE(node->hold()->applied().value == last);
}

TEST_CASE(
    "a mark counts from the number of its write on, and one write may be under way (hazard 69)") {
  AppliedMarks marks;
  raft::SnapshotMetadata first = mark(1, 5);
  marks.begin(first);
  const auto at = [&marks](std::uint64_t sequence) {
    return marks.pin([sequence] { return sequence; }).metadata();
  };
  REQUIRE(at(0) == first);
  marks.will_be(10, {{1}, {6}}, nullptr);
  REQUIRE(at(9) == first);
  first.last = {{1}, {6}};
  REQUIRE(at(10) == first);
  const raft::Members changed = members_of({1, 2});
  marks.will_be(12, {{2}, {7}},
                std::make_shared<const raft::MembersVersion>(raft::MembersVersion{{7}, changed}));
  REQUIRE(at(11) == first);
  REQUIRE(at(12) == raft::SnapshotMetadata{{{2}, {7}}, changed, {7}});
  marks.will_be(20, {{2}, {8}}, nullptr);
  REQUIRE(at(20) == raft::SnapshotMetadata{{{2}, {8}}, changed, {7}});
}

TEST_CASE("the store keeps nothing of what it recovered once that was taken (hazard 112)") {
  const TempFolder folder;
  { Opened(folder.raft()).fill(1, 1, 3); }
  Opened node(folder.raft());
  std::vector<std::weak_ptr<const raft::Entry>> entries;
  {
    const Recovery taken = node->take_recovered();
    REQUIRE(taken.raft.entries.size() == 3);
    REQUIRE(taken.raft.applied == raft::Index{3});
    for (const raft::EntryPtr& one : taken.raft.entries) entries.push_back(one);
  }
  for (const auto& one : entries) REQUIRE(one.expired());
}

}  // namespace iris::store::test
