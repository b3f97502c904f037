// Leases: what so many sessions, served by three nodes at a ttl of 10 s, cost while nothing
// happens, when leaders change, and when a node dies: messages and bytes between nodes, CPU time,
// and the longest turn of the loop (hazard 127). Simulated time; a message takes one tick.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <array>
#include <deque>
#include <memory>
#include <string>

#include "src/listeners/leases.h"
#include "src/peers/wire.h"
#include "tests/bench/cpu_time.h"
#include "tests/listeners/harness.h"

namespace iris::testing {
namespace {

struct LeaseCluster {
  static constexpr std::size_t size = 3;
  static constexpr int second = 100;  // ticks

  explicit LeaseCluster(std::int64_t count) {
    for (std::size_t node = 0; node < size; ++node) {
      members.voters.push_back({{node + 1}, "h:1"});
      LeasesOptions options;
      options.session_ttl_ms = 10'000;
      LeasesHooks hooks;
      hooks.propose = [this](const ExpireSessions& command) { expired += command.sessions.size(); };
      hooks.send = [this, node](raft::NodeId to, SessionsServed message) {
        ++messages;
        std::string wire;
        CHECK(wire::write(message, wire));
        bytes += wire.size();
        bytes_max = std::max(bytes_max, wire.size());
        under_way.push_back({{node + 1}, to, std::move(message)});
      };
      hooks.members = [this]() -> const raft::Members& { return members; };
      nodes[node] = std::make_unique<Leases>(options, *cluster.store, std::move(hooks));
    }
    for (std::int64_t i = 0; i < count; ++i) {
      const std::string session = "00112233445566" + std::to_string(100'000 + i);
      cluster.subscribe(session, "source");
      nodes[static_cast<std::size_t>(i) % size]->opened(session);
    }
    run(10 * second);
  }

  template <typename Turn>
  void time(std::size_t node, const Turn& turn) {
    const double begin = cpu_ms();
    turn();
    const double took = cpu_ms() - begin;
    cpu[node] += took;
    longest = std::max(longest, took);
  }
  void run(int ticks) {
    for (; ticks > 0; --ticks) {
      for (auto& message : std::exchange(under_way, {})) {
        const std::size_t to = message.to.value - 1;
        if (nodes[to] == nullptr) continue;
        time(to, [&] { nodes[to]->on_told(message.from, message.body); });
      }
      for (std::size_t node = 0; node < size; ++node) {
        if (nodes[node] == nullptr) continue;
        time(node, [&] { nodes[node]->tick({leader + 1}, {term}, node == leader); });
      }
      while (cluster.store->run(sim::Lane::read)) continue;
    }
  }
  void forget_counts() {
    messages = bytes = bytes_max = 0;
    cpu = {};
    longest = 0;
  }

  struct Message {
    raft::NodeId from, to;
    SessionsServed body;
  };
  Cluster cluster;
  raft::Members members;
  std::array<std::unique_ptr<Leases>, size> nodes;
  std::deque<Message> under_way;
  std::size_t leader = 0;
  std::uint64_t term = 1;
  std::size_t expired = 0;
  std::uint64_t messages = 0;
  std::size_t bytes = 0;
  std::size_t bytes_max = 0;
  std::array<double, size> cpu{};
  double longest = 0;
};

void report(benchmark::State& state, const LeaseCluster& leases, double seconds) {
  state.counters["messages_s"] = static_cast<double>(leases.messages) / seconds;
  state.counters["bytes_s"] = static_cast<double>(leases.bytes) / seconds;
  state.counters["message_bytes"] = static_cast<double>(leases.bytes_max);
  state.counters["leader_ms_s"] = leases.cpu[leases.leader] / seconds;
  state.counters["follower_ms_s"] = leases.cpu[(leases.leader + 1) % LeaseCluster::size] / seconds;
  state.counters["longest_ms"] = leases.longest;
}

// A minute in which nothing changes.
void leases_at_rest(benchmark::State& state) {
  LeaseCluster leases(state.range(0));
  for (auto _ : state) {
    leases.forget_counts();
    leases.run(60 * LeaseCluster::second);
  }
  report(state, leases, 60);
}

// A change of leader, and ten seconds.
void leases_of_a_new_leader(benchmark::State& state) {
  LeaseCluster leases(state.range(0));
  for (auto _ : state) {
    leases.forget_counts();
    leases.leader = (leases.leader + 1) % LeaseCluster::size;
    ++leases.term;
    leases.run(10 * LeaseCluster::second);
  }
  report(state, leases, 10);
}

// A follower dies, and ten seconds.
void leases_of_a_dead_node(benchmark::State& state) {
  for (auto _ : state) {
    state.PauseTiming();
    LeaseCluster leases(state.range(0));
    leases.forget_counts();
    state.ResumeTiming();
    leases.nodes[2] = nullptr;
    leases.run(10 * LeaseCluster::second);
    report(state, leases, 10);
  }
}

BENCHMARK(leases_at_rest)->Arg(1'000)->Arg(100'000)->Unit(benchmark::kMillisecond);
BENCHMARK(leases_of_a_new_leader)->Arg(1'000)->Arg(100'000)->Unit(benchmark::kMillisecond);
BENCHMARK(leases_of_a_dead_node)
    ->Arg(1'000)
    ->Arg(100'000)
    ->Unit(benchmark::kMillisecond)
    ->Iterations(1);

}  // namespace
}  // namespace iris::testing
