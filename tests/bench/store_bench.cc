// Store: what the hacks of the data lane save, over RocksDB on files in memory. An item is one
// command: a look at a row's front, and the row written anew.
#include <benchmark/benchmark.h>
#include <rocksdb/cache.h>
#include <rocksdb/db.h>
#include <rocksdb/options.h>
#include <rocksdb/utilities/write_batch_with_index.h>
#include <rocksdb/write_batch.h>

#include <condition_variable>
#include <cstdlib>
#include <deque>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "raft/check.h"
#include "store/engine.h"
#include "store/keys.h"
#include "store/rocks.h"
#include "store/row_batch.h"

namespace iris::store {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t keys = 50'000;
constexpr std::size_t commands_per_batch = 256;

class Folder {
 public:
  Folder() {
    const fs::path memory = "/dev/shm";
    std::string pattern =
        ((fs::exists(memory) ? memory : fs::temp_directory_path()) / "iris-bench-XXXXXX").string();
    CHECK(::mkdtemp(pattern.data()) != nullptr);
    path_ = pattern;
  }
  ~Folder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

std::string key_of(std::uint64_t number) {
  return "some/longer/name/of/a/key-" + std::to_string(number);
}

// One family with `keys` rows, as the data has it.
class Rows {
 public:
  explicit Rows(std::size_t value_bytes, RocksOptions options = {})
      : options_(std::move(options)), value_(value_bytes, 'v') {
    rocksdb::DBOptions settings = data_options(options_, alarm_);
    settings.create_if_missing = settings.create_missing_column_families = true;
    const auto cache = rocksdb::NewLRUCache(options_.block_cache_bytes);
    const std::vector<rocksdb::ColumnFamilyDescriptor> families = {
        {rocksdb::kDefaultColumnFamilyName, small_options(options_)},
        {"rows", rows_options(options_, cache)}};
    rocksdb::DB* made = nullptr;
    CHECK(rocksdb::DB::Open(settings, folder_.path(), families, &handles_, &made).ok());
    db_.reset(made);
    for (std::uint64_t key = 0; key < keys; ++key) {
      CHECK(db_->Put(unsynced_write(), rows(), row_of(key), value_).ok());
    }
  }
  ~Rows() {
    for (auto* handle : handles_) CHECK(db_->DestroyColumnFamilyHandle(handle).ok());
  }
  Rows(const Rows&) = delete;
  Rows& operator=(const Rows&) = delete;

  [[nodiscard]] rocksdb::DB& db() const { return *db_; }
  [[nodiscard]] rocksdb::ColumnFamilyHandle* rows() const { return handles_.at(1); }
  [[nodiscard]] const std::string& value() const { return value_; }
  static std::string row_of(std::uint64_t key) {
    std::string row;
    row_key(row, Table::values, key_of(key));
    return row;
  }
  // Half of the commands are about a hundredth of the keys.
  std::uint64_t next_key() {
    const bool hot = random_() % 2 == 0;
    return random_() % (hot ? keys / 100 : keys);
  }
  void write(rocksdb::WriteBatch& batch) const { CHECK(db_->Write(unsynced_write(), &batch).ok()); }
  [[nodiscard]] Alarm& alarm() { return alarm_; }

 private:
  const Folder folder_;
  const RocksOptions options_;
  const std::string value_;
  Alarm alarm_;
  std::mt19937_64 random_{1};
  std::unique_ptr<rocksdb::DB> db_;
  std::vector<rocksdb::ColumnFamilyHandle*> handles_;
};

void count(benchmark::State& state) {
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations() * commands_per_batch));
}

// RowBatch: the argument `memory` is what it may remember, `front` whether it is asked for the
// front or for the whole row.
void row_batch(benchmark::State& state) {
  Rows rows(static_cast<std::size_t>(state.range(2)));
  RowBatch batch(rows.alarm(), static_cast<std::size_t>(state.range(0)));
  batch.begin(
      std::make_shared<Family>(1, &rows.db(), rows.rows(), [](rocksdb::ColumnFamilyHandle*) {}));
  const bool front = state.range(1) != 0;
  std::string found;
  for (auto _ : state) {
    for (std::size_t i = 0; i < commands_per_batch; ++i) {
      const std::string key = key_of(rows.next_key());
      const Found there =
          front ? batch.front(Table::values, key, found) : batch.get(Table::values, key, found);
      CHECK(there == Found::yes);
      batch.put(Table::values, key, rows.value());
    }
    rocksdb::WriteBatch written;
    batch.write_to(written);
    rows.write(written);
    batch.written();
  }
  count(state);
}

// The same by RocksDB's own class.
void write_batch_with_index(benchmark::State& state) {
  Rows rows(static_cast<std::size_t>(state.range(0)));
  rocksdb::WriteBatchWithIndex batch(rocksdb::BytewiseComparator(), 0, true);
  std::string found;
  for (auto _ : state) {
    for (std::size_t i = 0; i < commands_per_batch; ++i) {
      const std::string row = Rows::row_of(rows.next_key());
      CHECK(batch.GetFromBatchAndDB(&rows.db(), rocksdb::ReadOptions(), rows.rows(), row, &found)
                .ok());
      CHECK(batch.Put(rows.rows(), row, rows.value()).ok());
    }
    rows.write(*batch.GetWriteBatch());
    batch.Clear();
  }
  count(state);
}

// Memtables of `bytes`, of which `merged` are merged before they become a file.
void memtables(benchmark::State& state) {
  RocksOptions options;
  options.data_memtable_bytes = static_cast<std::size_t>(state.range(0)) << 20;
  options.data_memtables_merged = static_cast<int>(state.range(1));
  Rows rows(256, options);
  for (auto _ : state) {
    rocksdb::WriteBatch written;
    for (std::size_t i = 0; i < commands_per_batch; ++i) {
      CHECK(written.Put(rows.rows(), Rows::row_of(rows.next_key()), rows.value()).ok());
    }
    rows.write(written);
  }
  count(state);
}

// --- The bulk lane's niceness: what a write waits for while a snapshot is sent, on a machine whose
// processors all have something to do.

class Loop {
 public:
  void post(std::function<void()> job) {
    const std::lock_guard lock(mutex_);
    jobs_.push_back(std::move(job));
    changed_.notify_one();
  }
  void run_one() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return !jobs_.empty(); });
    const std::function<void()> job = std::move(jobs_.front());
    jobs_.pop_front();
    lock.unlock();
    job();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> jobs_;
};

class Sender {
 public:
  explicit Sender(Store& store) : store_(store) { next(); }

 private:
  void next() {
    if (pinned_ == nullptr) pinned_ = store_.pin();
    pinned_->read(256u << 10, [this](const Result<std::string>& bytes) {
      CHECK(bytes.has_value());
      if (bytes->empty()) pinned_.reset();
      next();
    });
  }
  Store& store_;
  std::unique_ptr<Export> pinned_;
};

void write_beside_snapshots(benchmark::State& state) {
  const Folder folder;
  Loop loop;
  RocksOptions options;
  options.path = folder.path() + "/raft";
  options.post = [&loop](std::function<void()> job) { loop.post(std::move(job)); };
  options.keep_priorities = state.range(0) == 0;
  auto opened = open_rocks(std::move(options));
  CHECK(opened.has_value());
  Store& store = **opened;
  store.start({[](raft::Ticket) {}, [](const Error&) { CHECK(false); }});
  std::uint64_t index = 0;
  const std::string value(1024, 'v');
  const auto apply = [&](std::size_t commands) {
    std::size_t under_way = commands;
    for (std::size_t i = 0; i < commands; ++i) {
      store.apply(
          {{{1}, {++index}}, std::nullopt, {}},
          [&value, row = key_of(index % keys)](Batch& batch) {
            std::string front;
            static_cast<void>(batch.front(Table::values, row, front));
            batch.put(Table::values, row, value);
          },
          [&under_way] { --under_way; });
    }
    while (under_way > 0) loop.run_one();
  };
  apply(keys);
  std::vector<std::unique_ptr<Sender>> senders;
  for (std::int64_t i = 0; i < state.range(1); ++i) {
    senders.push_back(std::make_unique<Sender>(store));
  }
  for (auto _ : state) apply(commands_per_batch);
  count(state);
  senders.clear();
  opened->reset();  // with the reads that are under way
}

BENCHMARK(row_batch)
    ->ArgNames({"memory", "front", "value"})
    ->Args({8 << 20, 1, 256})
    ->Args({0, 1, 256})
    ->Args({0, 0, 256})
    ->Args({8 << 20, 1, 16 << 10})
    ->Args({0, 0, 16 << 10});
BENCHMARK(write_batch_with_index)->ArgName("value")->Arg(256)->Arg(16 << 10);
BENCHMARK(memtables)->ArgNames({"mebibytes", "merged"})->Args({8, 4})->Args({32, 1})->Args({2, 16});
BENCHMARK(write_beside_snapshots)
    ->ArgNames({"nice", "snapshots"})
    ->Args({1, 0})
    ->Args({1, 2})
    ->Args({0, 2})
    ->UseRealTime();

}  // namespace
}  // namespace iris::store
