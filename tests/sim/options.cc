#include "tests/sim/options.h"

#include <algorithm>
#include <initializer_list>

#include "tests/sim/random.h"

namespace iris::sim {
namespace {

constexpr std::array<std::string_view, fault_count> fault_names = {
    "loss",           "duplicate",
    "reorder",        "slow-link",
    "clog",           "cut",
    "split",          "isolate",
    "isolate-leader", "one-way",
    "bridge",         "ring",
    "chain",          "swizzle",
    "crash",          "crash-at-output",
    "crash-leader",   "crash-majority",
    "crash-all",      "pause",
    "pause-leader",   "skew",
    "slow-disk",      "stall",
    "disk-error",     "disk-full",
    "cold-cache",     "wipe",
    "old-folder",     "stray-folder",
    "join",           "remove",
    "remove-leader",  "transfer",
    "address",        "upgrade"};

constexpr std::uint64_t ms = 1000;  // in microseconds
constexpr std::uint64_t second = 1000 * ms;

template <class Number>
Number one_of(Random& random, std::initializer_list<Number> choices) {
  return choices.begin()[random.below(choices.size())];
}

void draw_faults(Random& random, SimOptions& options) {
  const std::uint64_t kind = random.below(20);
  if (kind == 0) return;  // a run without faults
  const std::uint64_t chance = kind == 1 ? 1'000'000 : random.between(50'000, 600'000);
  // Fault::upgrade came later, and is drawn apart.
  constexpr auto drawn = static_cast<std::size_t>(Fault::upgrade);
  for (std::size_t i = 0; i < drawn; ++i) options.faults[i] = random.chance(chance);
}

// From a random stream of its own, as draw_feeds().
void draw_levels(Random random, SimOptions& options) {
  const bool upgrades = random.below(3) == 0;
  options.faults[static_cast<std::size_t>(Fault::upgrade)] = upgrades;
  if (upgrades && random.below(2) == 0) options.first_level = {};
}

void draw_cluster(Random& random, SimOptions& options) {
  options.voters =
      one_of<std::uint32_t>(random, {1, 2, 3, 3, 3, 3, 3, 4, 4, 5, 5, 5, 5, 5, 6, 7, 3, 3, 1, 2});
  options.spares = static_cast<std::uint32_t>(random.below(4));
  options.bootstrap_alone = random.below(3) == 0;
}

void draw_world(Random& random, SimOptions& options) {
  options.safety_us = random.between(20, 40) * second;
  options.delay_us = random.between(50, 200) << random.below(7);
  options.jitter_us = random.between(50, 200) << random.below(8);
  options.loss = random.between(1'000, 20'000) << random.below(5);
  options.duplicate = random.between(1'000, 30'000) << random.below(5);
  options.reorder = random.between(1'000, 20'000) << random.below(4);
  options.link_bytes_per_s = random.between(20'000, 200'000);
  options.fault_every_us = random.between(200, 400) * ms << random.below(4);
  options.fault_for_us = random.between(200, 500) * ms << random.below(4);
  options.sync_us = random.between(100, 1000) << random.below(5);
  options.crash_keeps_nothing = random.below(2) == 0;
  options.wire = random.below(2) == 0;
  options.check_everything = random.below(8) == 0;
}

// After draw_world(): timers that can work over these links and disks. Safety is judged in every
// run, but progress is demanded only where it is possible.
void draw_timers(Random& random, SimOptions& options) {
  NodeOptions& node = options.node;
  node.tick_ms = one_of<std::uint32_t>(random, {10, 20, 20, 50, 50, 50, 100});
  node.raft.heartbeat_ticks = static_cast<std::uint32_t>(random.between(1, 4));
  const std::uint64_t tick_us = node.tick_ms * ms;
  const std::uint64_t round_us = 2 * (options.delay_us + options.jitter_us) + options.sync_us;
  const std::uint64_t least = std::max<std::uint64_t>((8 * round_us + tick_us - 1) / tick_us,
                                                      6 * std::uint64_t{node.raft.heartbeat_ticks});
  node.raft.election_ticks = static_cast<std::uint32_t>(least + random.below(2 * least));
  node.raft.disk_stall_ticks = one_of<std::uint32_t>(random, {0, 4, 8}) * node.raft.election_ticks;
}

void draw_limits(Random& random, SimOptions& options) {
  NodeOptions& node = options.node;
  node.disk_reserve_bytes = 20'000;
  if (random.below(5) == 0) return;  // one in five runs with what a real node has
  raft::Options& raft = node.raft;
  raft.append_bytes_max = random.between(1, 100) << random.below(8);
  raft.window_bytes_max = random.between(1, 200) << random.below(10);
  raft.window_messages_max = random.between(1, 8);
  raft.promote_lag_entries_max = random.between(0, 50);
  if (random.below(4) == 0) raft.uncommitted_bytes_max = random.between(500, 5'000);
  node.log_entries_max = random.between(2, 10) << random.below(6);
  if (random.below(2) == 0) node.log_bytes_max = random.between(300, 10'000);
  node.snapshot_chunk_bytes = random.between(16, 64) << random.below(6);
  node.snapshot_window_bytes = node.snapshot_chunk_bytes * random.between(1, 8);
  if (random.below(8) == 0) node.waiters_max = random.between(1, 8);
  if (random.below(8) == 0) node.waiting_bytes_max = random.between(200, 2'000);
  if (random.below(8) == 0) node.unapplied_bytes_max = random.between(200, 4'000);
}

void draw_load(Random& random, SimOptions& options) {
  options.clients = static_cast<std::uint32_t>(random.between(1, 8));
  options.think_us = random.between(5, 15) * ms << random.below(5);
  options.sources = static_cast<std::uint32_t>(random.between(1, 4));
  options.keys = static_cast<std::uint32_t>(random.between(1, 6));
  options.value_bytes_max = static_cast<std::uint32_t>(random.between(16, 64) << random.below(6));
  options.call_ms =
      random.between(2, 10) * options.node.raft.election_ticks * options.node.tick_ms / 2;
}

// From a random stream of its own, so that its draws do not shift those above.
void draw_feeds(Random random, SimOptions& options) {
  options.subscribers = random.between(1, 6);
  options.subscriber_think_us = random.between(50, 400) * ms << random.below(3);
  options.read_us = random.between(1, 20) * ms << random.below(6);
  options.session_ttl_ms =
      random.below(3) == 0 ? 600'000
                           : random.between(1'000, 8'000) + std::uint64_t{4} * options.node.tick_ms;
  options.expire_max = random.between(1, 4);
  options.report_max = random.between(1, 4);
  ListenersOptions& listeners = options.listeners;
  listeners.tick_ms = options.node.tick_ms;
  const std::uint32_t election_ms = options.node.raft.election_ticks * options.node.tick_ms;
  listeners.isolation_ms = static_cast<std::uint32_t>(random.between(1, 4)) * election_ms;
  listeners.stall_ms = static_cast<std::uint32_t>(random.between(200, 5'000));
  if (random.below(5) == 0) return;  // one in five runs with what a real node has
  listeners.buffer_bytes = random.between(100, 400) << random.below(6);
  listeners.page_bytes = random.between(64, 512) << random.below(4);
  listeners.page_rows = random.between(1, 20);
  listeners.reads_max = random.between(1, 3);
  listeners.purge_records = random.between(1, 20);
}

// Each seed runs the check; one in four has something to find. From a random stream of its own.
void draw_state_checks(Random random, SimOptions& options) {
  NodeOptions& node = options.node;
  node.state_check_interval_ms = random.between(100, 1'000) << random.below(4);
  node.state_check_piece_bytes = random.between(64, 512) << random.below(8);
  node.state_check_bytes_per_second = random.between(20'000, 60'000) << random.below(8);
  if (random.below(4) == 0) options.planted = static_cast<Planted>(random.between(1, 4));
}

}  // namespace

std::string_view name_of(Fault fault) { return fault_names.at(static_cast<std::size_t>(fault)); }

SimOptions draw_options(std::uint64_t seed) {
  SimOptions options;
  options.seed = seed;
  Random random(seed, 1);
  draw_faults(random, options);
  draw_cluster(random, options);
  draw_world(random, options);
  draw_timers(random, options);
  draw_limits(random, options);
  draw_load(random, options);
  draw_feeds(Random(seed, 7), options);
  draw_levels(Random(seed, 8), options);
  draw_state_checks(Random(seed, 9), options);
  return options;
}

Status remove_faults(SimOptions& options, std::string_view names) {
  while (!names.empty()) {
    const std::string_view name = names.substr(0, names.find(','));
    names.remove_prefix(std::min(name.size() + 1, names.size()));
    const auto found = std::find(fault_names.begin(), fault_names.end(), name);
    if (found == fault_names.end()) {
      return fail(Errc::invalid_argument, "no fault is called '" + std::string(name) + "'");
    }
    options.faults[static_cast<std::size_t>(found - fault_names.begin())] = false;
  }
  return Unit{};
}

std::string describe(const SimOptions& options) {
  const NodeOptions& node = options.node;
  std::string text =
      "voters " + std::to_string(options.voters) + ", spares " + std::to_string(options.spares) +
      ", tick " + std::to_string(node.tick_ms) + " ms, election " +
      std::to_string(node.raft.election_ticks) + " ticks, heartbeat " +
      std::to_string(node.raft.heartbeat_ticks) + ", delay " + std::to_string(options.delay_us) +
      "+" + std::to_string(options.jitter_us) + " us, sync " + std::to_string(options.sync_us) +
      " us, log entries " + std::to_string(node.log_entries_max) + ", clients " +
      std::to_string(options.clients) + ", subscribers " + std::to_string(options.subscribers) +
      ", state check " + std::to_string(node.state_check_interval_ms) + " ms" +
      (options.planted == Planted::none ? "" : " with an odd one") + ", wire " +
      (options.wire ? "bytes" : "values") + ", safety phase " +
      std::to_string(options.safety_us / second) + " s, faults:";
  for (std::size_t i = 0; i < fault_count; ++i) {
    if (!options.faults[i]) continue;
    text += ' ';
    text += fault_names[i];
  }
  if (options.faults.none()) text += " none";
  return text;
}

}  // namespace iris::sim
