// The hash of a node's whole data (src/machine/state_hash.h): the scan of a store on RocksDB, most
// of it in files; and what a running hash would cost instead, which has to read the value that a
// SetValue replaces.
#include <benchmark/benchmark.h>
#include <unistd.h>

#include <deque>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "raft/check.h"
#include "src/machine/command.h"
#include "src/machine/feature_level.h"
#include "src/machine/machine.h"
#include "src/machine/state_hash.h"
#include "store/rocks.h"

namespace iris {
namespace {

constexpr std::uint64_t rows = 100'000;
constexpr std::uint64_t rows_a_batch = 1'000;

// A store whose lanes run on this thread.
class Filled {
 public:
  explicit Filled(std::size_t value_bytes) {
    std::string pattern = (std::filesystem::temp_directory_path() / "iris-bench-XXXXXX").string();
    CHECK(mkdtemp(pattern.data()) != nullptr);
    folder_ = pattern;
    store::RocksOptions options;
    options.path = folder_ + "/raft";
    options.post = [this](std::function<void()> job) { queue_.push_back(std::move(job)); };
    options.run_lane = [this](store::LaneName, std::function<void()> work) {
      queue_.push_back(std::move(work));
    };
    auto opened = store::open_rocks(std::move(options));
    CHECK(opened);
    store_ = std::move(*opened);
    store_->start({[](raft::Ticket) {}, [](const Error&) { CHECK(false); }});
    const std::string value(value_bytes, 'v');
    for (std::uint64_t index = 1; index <= rows; index += rows_a_batch) {
      store_->apply(
          {{{1}, {index + rows_a_batch - 1}}, std::nullopt, {}},
          [&](store::Batch& batch) {
            for (std::uint64_t i = index; i < index + rows_a_batch; ++i) {
              const raft::Entry entry{{{1}, {i}},
                                      encode(SetValue{"s", std::to_string(i), value, {}})};
              CHECK(Machine::apply(entry, feature_level, batch).changed);
            }
          },
          [] {});
      drain();
    }
  }
  ~Filled() {
    store_.reset();
    std::filesystem::remove_all(folder_);
  }
  Filled(const Filled&) = delete;
  Filled& operator=(const Filled&) = delete;

  [[nodiscard]] store::Store& store() { return *store_; }
  void drain() {
    while (!queue_.empty()) {
      const std::function<void()> job = std::move(queue_.front());
      queue_.pop_front();
      job();
    }
  }

 private:
  std::string folder_;
  std::deque<std::function<void()>> queue_;
  std::unique_ptr<store::Store> store_;
};

void hash_a_store(benchmark::State& state) {
  Filled filled(static_cast<std::size_t>(state.range(0)));
  std::size_t bytes = 0;
  for (auto _ : state) {
    StateHasher hasher(0);
    const auto view = filled.store().hold();
    while (!hasher.done()) {
      filled.store().read_bulk(
          view, [&](const store::View& piece) { bytes += hasher.read(piece, 2u << 20); }, [] {});
      filled.drain();
    }
    benchmark::DoNotOptimize(hasher.result().data);
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(bytes));
}

// One command in a batch of its own: overwrites a value, and reads it before where it is asked to.
void overwrite(benchmark::State& state, bool read_before) {
  Filled filled(static_cast<std::size_t>(state.range(0)));
  const std::string value(static_cast<std::size_t>(state.range(0)), 'w');
  std::uint64_t index = rows;
  for (auto _ : state) {
    ++index;
    filled.store().apply(
        {{{1}, {index}}, std::nullopt, {}},
        [&](store::Batch& batch) {
          const std::string key = std::to_string(1 + index * 7919 % rows);
          if (read_before) {
            Value former;
            CHECK(get_value(batch, "s", key, former) == store::Found::yes);
            Xxh3 hash;
            hash.add(former.bytes);
            hash.add(value);
            benchmark::DoNotOptimize(hash.result());
          }
          const raft::Entry entry{{{1}, {index}}, encode(SetValue{"s", key, value, {}})};
          CHECK(Machine::apply(entry, feature_level, batch).changed);
        },
        [] {});
    filled.drain();
  }
}
void overwrite_plain(benchmark::State& state) { overwrite(state, false); }
void overwrite_with_running_hash(benchmark::State& state) { overwrite(state, true); }

BENCHMARK(hash_a_store)->Arg(100)->Arg(1'000);
BENCHMARK(overwrite_plain)->Arg(1'000);
BENCHMARK(overwrite_with_running_hash)->Arg(1'000);

}  // namespace
}  // namespace iris
