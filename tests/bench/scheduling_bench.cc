// SCHED_BATCH (src/base/scheduling.h): threads that wake each other for every job, as loop and
// lanes do, on a machine whose processors are all busy. An item is one job that went through three
// threads.
#include <benchmark/benchmark.h>

#include <array>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>
#include <utility>

#include "src/base/scheduling.h"

namespace iris {
namespace {

constexpr std::uint64_t jobs = 20'000;
constexpr std::uint64_t work_rounds = 400;  // about a microsecond

void work() {
  std::uint64_t sum = 0;
  for (std::uint64_t i = 0; i < work_rounds; ++i) benchmark::DoNotOptimize(sum += i * i);
}

// A queue that counts: takes all that is there at once, as the house's lanes do.
class Queue {
 public:
  void put() {
    const std::lock_guard lock(mutex_);
    if (count_++ == 0) changed_.notify_one();
  }
  std::uint64_t take() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return count_ > 0; });
    return std::exchange(count_, 0);
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::uint64_t count_ = 0;
};

void three_threads(benchmark::State& state) {
  Scheduling::set_all(state.range(0) != 0);
  for (auto _ : state) {
    std::array<Queue, 3> queues;
    const auto relay = [&](std::size_t from) {
      for (std::uint64_t done = 0; done < jobs;) {
        for (std::uint64_t taken = queues[from].take(); taken > 0; --taken, ++done) {
          work();
          if (from + 1 < queues.size()) queues[from + 1].put();
        }
      }
    };
    std::thread second(relay, 1);
    std::thread third(relay, 2);
    std::thread first(relay, 0);
    for (std::uint64_t i = 0; i < jobs; ++i) {
      work();
      queues[0].put();
    }
    for (std::thread* each : {&first, &second, &third}) each->join();
  }
  Scheduling::set_all(false);
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations() * jobs));
}

BENCHMARK(three_threads)
    ->ArgName("batch")
    ->Arg(0)
    ->Arg(1)
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace iris

BENCHMARK_MAIN();
