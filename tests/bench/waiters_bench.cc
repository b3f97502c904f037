// Waiters (src/node/waiters.h) against what it replaces: a map by deadline and a map by number.
#include <benchmark/benchmark.h>

#include <cstdint>
#include <deque>
#include <map>
#include <unordered_map>
#include <utility>

#include "src/node/waiters.h"

namespace iris {
namespace {

struct Call {
  std::uint64_t number = 0;
  void* answer = nullptr;
};
constexpr std::uint64_t deadline_ticks = 500;

// So many calls wait; each iteration adds one and takes the oldest.
void waiters(benchmark::State& state) {
  WaiterBudget budget{.max = 1u << 20};
  Waiters<Call> calls(budget);
  std::deque<WaiterHandle> order;
  for (std::int64_t i = 0; i < state.range(0); ++i) order.push_back(calls.add({}, deadline_ticks));
  for (auto _ : state) {
    order.push_back(calls.add({}, deadline_ticks));
    benchmark::DoNotOptimize(calls.take(order.front()));
    order.pop_front();
  }
}

void two_maps(benchmark::State& state) {
  std::unordered_map<std::uint64_t,
                     std::pair<Call, std::multimap<std::uint64_t, std::uint64_t>::iterator>>
      calls;
  std::multimap<std::uint64_t, std::uint64_t> deadlines;
  std::uint64_t next = 0;
  std::uint64_t oldest = 0;
  const auto add = [&] {
    const auto deadline = deadlines.emplace(deadline_ticks, next);
    calls.emplace(next++, std::pair{Call{}, deadline});
  };
  for (std::int64_t i = 0; i < state.range(0); ++i) add();
  for (auto _ : state) {
    add();
    const auto call = calls.find(oldest++);
    deadlines.erase(call->second.second);
    calls.erase(call);
  }
}

BENCHMARK(waiters)->Arg(100)->Arg(10'000);
BENCHMARK(two_maps)->Arg(100)->Arg(10'000);

}  // namespace
}  // namespace iris
