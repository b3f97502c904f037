// Listeners: the longest turn of the loop, with as many listeners, or subscriptions of one, as
// there may be (hazards 127, 129). A turn is one tick(), one pump(), one answer of the store, one
// command that was applied, one snapshot that was installed, or one end of a stream.
#include <benchmark/benchmark.h>
#include <malloc.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tests/bench/cpu_time.h"
#include "tests/listeners/harness.h"

namespace iris::testing {
namespace {

struct Longest {
  template <typename Turn>
  static void time(double& longest_ms, const Turn& turn) {
    const double begin = cpu_ms();
    turn();
    longest_ms = std::max(longest_ms, cpu_ms() - begin);
  }
  template <typename Turn>
  void time(const Turn& turn) {
    time(call_ms, turn);
  }
  // As ListeningNode::settle().
  void settle(ListeningNode& node, Cluster& cluster) {
    node.give(cluster.last());
    bool more = true;
    while (more) {
      settle(*node.store);
      node.pass_barriers();
      more = false;
      if (node.pumps > 0) time(pump_ms, [&] { more = node.pump(); });
      more = more || run(*node.store, sim::Lane::data) || run(*node.store, sim::Lane::read);
    }
  }
  void settle(sim::ModelStore& store) {
    while (run(store, sim::Lane::log) || run(store, sim::Lane::data) ||
           run(store, sim::Lane::read)) {
    }
  }
  // The work of a lane is not the loop's, its answers are.
  bool run(sim::ModelStore& store, sim::Lane lane) {
    if (!store.completes_next(lane)) return store.run(lane);
    time(answer_ms, [&] { CHECK(store.run(lane)); });
    return true;
  }
  void report(benchmark::State& state, const std::string& name) const {
    state.counters[name + "_call_ms"] = call_ms;
    state.counters[name + "_pump_ms"] = pump_ms;
    state.counters[name + "_answer_ms"] = answer_ms;
  }
  double call_ms = 0;    // of a function of Listeners
  double pump_ms = 0;    // of pump()
  double answer_ms = 0;  // of the store
};

// What the model of the store frees here the heap sorts at some later call, which would take tens
// of milliseconds of a turn. In production it is freed on other threads.
std::optional<raft::Index> install_data(ListeningNode& node) {
  const auto index = node.install_data();
  ::malloc_trim(0);
  return index;
}

// A second of ticks, a snapshot that is installed, and an update that all of them want, with so
// many idle listeners.
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
  Longest update;
  for (auto _ : state) {
    for (int i = 0; i < 100; ++i) ticks.time([&] { node.listeners->tick(true); });
    ticks.settle(node, cluster);
    cluster.set("other", "key", "value");
    const auto index = install_data(node);
    install.time([&] { node.listeners->on_installed(*index); });
    install.settle(node, cluster);
    cluster.set("source", "key", "value");
    update.settle(node, cluster);
  }
  ticks.report(state, "tick");
  install.report(state, "install");
  update.report(state, "update");
}

// One session of so many subscriptions: its stream begins, is loaded again after a snapshot, and
// ends.
void longest_turn_of_a_session(benchmark::State& state) {
  Cluster cluster;
  ListeningNode node(cluster);
  for (std::int64_t i = 0; i < state.range(0); ++i) {
    cluster.subscribe("session", "source-" + std::to_string(i % 100), std::to_string(i));
  }
  node.settle();
  Longest opening;
  Longest install;
  Longest closing;
  for (auto _ : state) {
    RecordedStream stream;
    const auto id = node.listeners->open({"session"}, stream);
    opening.settle(node, cluster);
    cluster.set("other", "key", "value");
    const auto index = install_data(node);
    install.time([&] { node.listeners->on_installed(*index); });
    install.settle(node, cluster);
    closing.time([&] { node.listeners->cancelled(*id); });
    closing.settle(node, cluster);
  }
  opening.report(state, "open");
  install.report(state, "install");
  closing.report(state, "close");
}

BENCHMARK(longest_turn_of_listeners)->Arg(1'000)->Arg(100'000)->Unit(benchmark::kMillisecond);
BENCHMARK(longest_turn_of_a_session)->Arg(1'000)->Arg(65'536)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace iris::testing
