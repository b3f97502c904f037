// Listeners: the longest turn of the loop, with as many listeners, or subscriptions of one, as
// there may be (hazards 127, 129). A turn is one tick(), one pump() or one end of a stream.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <ctime>
#include <memory>
#include <string>
#include <vector>

#include "tests/listeners/harness.h"

namespace iris::testing {
namespace {

// Of this thread: machines are shared, and the longest of many turns is the one that was
// interrupted.
double cpu_ms() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e3 + static_cast<double>(now.tv_nsec) / 1e6;
}

struct Longest {
  template <typename Turn>
  void time(const Turn& turn) {
    const double begin = cpu_ms();
    turn();
    ms = std::max(ms, cpu_ms() - begin);
  }
  // As ListeningNode::settle().
  void settle(ListeningNode& node, Cluster& cluster) {
    node.give(cluster.last());
    bool more = true;
    while (more) {
      node.store->settle();
      node.pass_barriers();
      more = false;
      if (node.pumps > 0) time([&] { more = node.pump(); });
      more = more || node.store->run(sim::Lane::data) || node.store->run(sim::Lane::read);
    }
  }
  double ms = 0;
};

// A second of ticks, and a snapshot that is installed, with so many idle listeners.
void longest_turn_of_listeners(benchmark::State& state) {
  Cluster cluster;
  ListeningNode node(cluster);
  std::vector<RecordedStream> streams(static_cast<std::size_t>(state.range(0)));
  for (std::size_t i = 0; i < streams.size(); ++i) {
    const std::string session = std::to_string(i);
    cluster.subscribe(session, "source");
    CHECK(node.listeners->open({session, 0, false, 10'000}, streams[i]).has_value());
  }
  node.settle();
  Longest ticks;
  Longest install;
  for (auto _ : state) {
    for (int i = 0; i < 100; ++i) ticks.time([&] { node.listeners->tick(true); });
    ticks.settle(node, cluster);
    cluster.set("other", "key", "value");
    node.install();
    install.settle(node, cluster);
  }
  state.counters["tick_ms"] = ticks.ms;
  state.counters["install_ms"] = install.ms;
}

// One session of so many subscriptions: its stream begins and ends.
void longest_turn_of_a_session(benchmark::State& state) {
  Cluster cluster;
  ListeningNode node(cluster);
  for (std::int64_t i = 0; i < state.range(0); ++i) {
    cluster.subscribe("session", "source-" + std::to_string(i % 100), std::to_string(i));
  }
  node.settle();
  Longest opening;
  Longest closing;
  for (auto _ : state) {
    RecordedStream stream;
    const auto id = node.listeners->open({"session"}, stream);
    opening.settle(node, cluster);
    closing.time([&] { node.listeners->cancelled(*id); });
    closing.settle(node, cluster);
  }
  state.counters["open_ms"] = opening.ms;
  state.counters["close_ms"] = closing.ms;
}

BENCHMARK(longest_turn_of_listeners)->Arg(1'000)->Arg(100'000)->Unit(benchmark::kMillisecond);
BENCHMARK(longest_turn_of_a_session)->Arg(1'000)->Arg(65'536)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace iris::testing
