// The matcher: an update finds its listeners among many that want something else.
#include <benchmark/benchmark.h>

#include <string>

#include "src/listeners/matcher.h"

namespace iris {
namespace {

using listening::Matcher;

// As many listeners as the argument says, each on a key of its own; one of them wants the update.
void match_one_of(benchmark::State& state) {
  Matcher matcher;
  const auto listeners = static_cast<std::uint64_t>(state.range(0));
  for (std::uint64_t id = 1; id <= listeners; ++id) {
    matcher.add(id, "source-" + std::to_string(id % 100), "key-" + std::to_string(id), 1);
  }
  std::uint64_t found = 0;
  for (auto _ : state) {
    matcher.match("source-7", "key-7", 2, [&](Matcher::Id) { ++found; });
  }
  benchmark::DoNotOptimize(found);
}

// Every listener wants it.
void match_all_of(benchmark::State& state) {
  Matcher matcher;
  const auto listeners = static_cast<std::uint64_t>(state.range(0));
  for (std::uint64_t id = 1; id <= listeners; ++id) matcher.add(id, "source", std::nullopt, 1);
  std::uint64_t found = 0;
  for (auto _ : state) {
    matcher.match("source", "key", 2, [&](Matcher::Id) { ++found; });
  }
  benchmark::DoNotOptimize(found);
  state.SetItemsProcessed(static_cast<std::int64_t>(found));
}

BENCHMARK(match_one_of)->Arg(1)->Arg(10'000)->Arg(100'000);
BENCHMARK(match_all_of)->Arg(10)->Arg(10'000);

}  // namespace
}  // namespace iris
