#include "tests/sim/nemesis.h"

#include <algorithm>
#include <string>
#include <utility>

#include "tests/sim/report.h"
#include "tests/sim/world.h"

namespace iris::sim {
namespace {

// Faults that are a property of links or hosts rather than an event.
bool is_standing(Fault fault) {
  switch (fault) {
    case Fault::loss:
    case Fault::duplicate:
    case Fault::reorder:
    case Fault::slow_link:
    case Fault::skew:
    case Fault::slow_disk:
    case Fault::stall:
    case Fault::cold_cache:
      return true;
    default:
      return false;
  }
}

// Faults that the operators do (operators.h).
bool is_membership(Fault fault) { return fault >= Fault::old_folder && fault <= Fault::address; }

}  // namespace

Nemesis::Nemesis(World& world) : world_(world), random_(world.random(RandomStream::faults)) {
  for (std::size_t i = 0; i < fault_count; ++i) {
    const auto fault = static_cast<Fault>(i);
    if (world.options.has(fault) && !is_standing(fault) && !is_membership(fault)) {
      enabled_.push_back(fault);
    }
  }
}

void Nemesis::start() {
  for (const auto& host : world_.hosts) {
    set_disk_profile(*host);
    set_clock(*host);
  }
  for (const Fault fault : {Fault::loss, Fault::duplicate, Fault::reorder, Fault::slow_link,
                            Fault::skew, Fault::slow_disk, Fault::stall, Fault::cold_cache}) {
    if (world_.options.has(fault)) count(fault);
  }
  if (!enabled_.empty()) later();
}

void Nemesis::count(Fault fault) {
  ++world_.stats.faults[static_cast<std::size_t>(fault)];
  TRACE(-1, "fault: " + std::string(name_of(fault)));
}

void Nemesis::later() {
  world_.timeline.after(random_.below(2 * world_.options.fault_every_us) + 1, [this] {
    if (stopped_) return;
    act();
    later();
  });
}

std::uint64_t Nemesis::some_time() { return random_.below(2 * world_.options.fault_for_us) + 1; }

void Nemesis::undo_later(std::function<void()> undo) {
  world_.timeline.after(some_time(), [this, epoch = epoch_, undo = std::move(undo)] {
    if (epoch == epoch_ && !stopped_) undo();
  });
}

Host* Nemesis::pick(bool running) {
  std::vector<Host*> candidates;
  for (const auto& host : world_.hosts) {
    if (host->runs() == running) candidates.push_back(host.get());
  }
  return candidates.empty() ? nullptr : candidates[random_.below(candidates.size())];
}

void Nemesis::act() {
  const Fault fault = enabled_[random_.below(enabled_.size())];
  switch (fault) {
    case Fault::split:
    case Fault::isolate:
    case Fault::isolate_leader:
    case Fault::bridge:
    case Fault::ring:
    case Fault::chain:
      break_links(fault);
      return;
    case Fault::swizzle:
      swizzle();
      return;
    case Fault::clog:
    case Fault::cut:
    case Fault::one_way:
      break_link(fault);
      return;
    case Fault::disk_error:
    case Fault::disk_full:
      break_disk(fault);
      return;
    case Fault::wipe:
      lose_folder();
      return;
    default:
      break_process(fault);
  }
}

// --- Links.

void Nemesis::block_pair(std::size_t from, std::size_t to) {
  world_.network.block(from, to);
  world_.network.block(to, from);
  undo_later([this, from, to] {
    world_.network.unblock(from, to);
    world_.network.unblock(to, from);
  });
}

// Blocks every pair that the chosen shape does not connect. Each pair heals in its own time,
// because a gradual healing finds more faults.
void Nemesis::break_links(Fault fault) {
  const std::size_t hosts = world_.hosts.size();
  if (hosts < 2) return;
  std::vector<std::size_t> order(hosts);  // random places in a circle
  for (std::size_t i = 0; i < hosts; ++i) order[i] = i;
  for (std::size_t i = hosts; i > 1; --i) std::swap(order[i - 1], order[random_.below(i)]);
  const Host* leader = world_.leader();
  if (fault == Fault::isolate_leader) {
    if (leader == nullptr) return;
    std::iter_swap(order.begin(), std::find(order.begin(), order.end(), leader->number()));
  }
  const std::size_t middle = 1 + random_.below(hosts - 1);
  const auto connected = [&](std::size_t a, std::size_t b) {  // places, a < b
    switch (fault) {
      case Fault::split:
        return (a < middle) == (b < middle);
      case Fault::isolate:
      case Fault::isolate_leader:
        return a != 0;
      case Fault::bridge:
        return a == 0 || ((a <= hosts / 2) == (b <= hosts / 2));
      case Fault::chain:
        return b - a == 1;
      default:
        return b - a == 1 || b - a == hosts - 1;  // a ring
    }
  };
  count(fault);
  for (std::size_t a = 0; a < hosts; ++a) {
    for (std::size_t b = a + 1; b < hosts; ++b) {
      if (!connected(a, b)) block_pair(order[a], order[b]);
    }
  }
}

void Nemesis::break_link(Fault fault) {
  const std::size_t hosts = world_.hosts.size();
  if (hosts < 2) return;
  const std::size_t from = random_.below(hosts);
  const std::size_t to = (from + 1 + random_.below(hosts - 1)) % hosts;
  const std::uint64_t time_us = std::min<std::uint64_t>(some_time(), 5'000'000);
  count(fault);
  if (fault == Fault::clog) {
    world_.network.clog(from, to, world_.now_us() + time_us);
  } else if (fault == Fault::cut) {
    world_.network.cut(from, to);
  } else {
    world_.network.block(from, to);
    undo_later([this, from, to] { world_.network.unblock(from, to); });
  }
}

void Nemesis::swizzle() {
  count(Fault::swizzle);
  const std::uint64_t time_us = some_time();
  for (std::size_t from = 0; from < world_.hosts.size(); ++from) {
    for (std::size_t to = 0; to < world_.hosts.size(); ++to) {
      if (from == to || random_.below(2) == 0) continue;
      world_.timeline.after(random_.below(time_us) + 1, [this, from, to, epoch = epoch_] {
        if (epoch != epoch_ || stopped_) return;
        world_.network.block(from, to);
        undo_later([this, from, to] { world_.network.unblock(from, to); });
      });
    }
  }
}

// --- Processes.

void Nemesis::crash(Host& host) const {
  ModelDisk::Crash how;
  how.log = world_.options.crash_keeps_nothing ? ModelDisk::Keep::none : ModelDisk::Keep::some;
  how.data = how.log;
  host.crash(how);
}

void Nemesis::process_ended(Host& host) {
  if (host.state() == Host::State::removed) return;
  world_.timeline.after(some_time(), [this, &host, epoch = epoch_] {
    if (epoch != epoch_ || stopped_) return;
    if (host.state() == Host::State::off || host.state() == Host::State::failed) {
      set_disk_profile(host);
      set_clock(host);
      host.start();
    }
  });
}

void Nemesis::set_clock(Host& host) {
  const std::uint64_t rate = random_.between(500, 2000);
  if (world_.options.has(Fault::skew)) host.set_tick_rate(rate);
}

void Nemesis::break_process(Fault fault) {
  Host* host = pick(true);
  if (host == nullptr) return;
  switch (fault) {
    case Fault::crash_leader:
    case Fault::pause_leader:
      host = world_.leader();
      if (host == nullptr) return;
      break;
    default:
      break;
  }
  count(fault);
  switch (fault) {
    case Fault::upgrade:
      replace_build(*host);
      return;
    case Fault::crash:
    case Fault::crash_leader:
      crash(*host);
      return;
    case Fault::crash_at_output: {
      ModelDisk::Crash how;
      if (world_.options.crash_keeps_nothing) how.log = how.data = ModelDisk::Keep::none;
      host->crash_after_effects(random_.below(40), how);
      return;
    }
    case Fault::crash_majority:
      crash_many(world_.hosts.size() / 2 + 1);
      return;
    case Fault::crash_all:
      crash_many(world_.hosts.size());
      return;
    default:
      stall_process(host);
  }
}

// Mostly to the newest build. An older one may be put back at any time: before the level is raised
// it works, after that it must say that it cannot.
void Nemesis::replace_build(Host& host) {
  crash(host);
  const bool back = random_.below(4) == 0;
  host.install(back ? raft::Level{random_.below(newest_level.value)} : newest_level);
}

void Nemesis::crash_many(std::size_t count) {
  for (; count > 0; --count) {
    Host* host = pick(true);
    if (host == nullptr) return;
    crash(*host);
  }
}

void Nemesis::stall_process(Host* host) {
  if (host->state() != Host::State::up) return;
  host->pause();
  undo_later([host, life = host->life()] {
    if (host->life() == life) host->resume();
  });
}

// --- Disks.

void Nemesis::set_disk_profile(Host& host) {
  DiskProfile& profile = host.disk().profile;
  profile = {};
  const SimOptions& options = world_.options;
  profile.log_sync_us_max = log_sync_us_max(options);
  profile.log_sync_us_min = profile.log_sync_us_max / 2;
  profile.data_sync_us_max = 4 * profile.log_sync_us_max;
  profile.data_sync_us_min = profile.log_sync_us_max;
  profile.data_us_max = options.has(Fault::slow_disk) ? 5'000 : 200;
  profile.background_flush_per_million = 20'000;
  if (options.has(Fault::stall)) {
    profile.stall_per_million = 3'000;
    profile.stall_us_max = disk_stall_us_max;
  }
  if (options.has(Fault::cold_cache)) profile.incomplete_per_million = 300'000;
}

void Nemesis::break_disk(Fault fault) {
  Host* host = pick(true);
  if (host == nullptr) return;
  count(fault);
  host->set_may_fail();
  DiskProfile& profile = host->disk().profile;
  if (fault == Fault::disk_error) {
    profile.fail_writes = true;
    return;
  }
  profile.capacity_bytes =
      host->disk().used_bytes() + random_.below(2 * world_.options.node.disk_reserve_bytes);
  undo_later([this, host] {
    set_disk_profile(*host);
    if (host->state() == Host::State::failed) host->start();
  });
}

bool Nemesis::may_lose(raft::NodeId lost) const {
  const auto survives = [&](const raft::Members& members) {
    const auto leaves = [&](raft::NodeId id) {
      return std::find(leaving_.begin(), leaving_.end(), id) != leaving_.end();
    };
    raft::Members later;  // without the members that may leave
    for (const raft::Member& voter : members.voters) {
      if (!leaves(voter.id)) later.voters.push_back(voter);
    }
    const auto lives = [&](raft::NodeId id) {
      const Host* host = world_.host_of(id);
      return id != lost && host != nullptr && host->state() != Host::State::removed;
    };
    raft::Members promoted = members;  // learners become voters before their silence is noticed
    for (const raft::Member& learner : members.learners) {
      if (!lives(learner.id)) promoted.voters.push_back(learner);
    }
    return is_quorum(members, lives) && is_quorum(later, lives) && is_quorum(promoted, lives);
  };
  const std::vector<raft::Members> in_force = world_.members_in_force();
  return !in_force.empty() && std::all_of(in_force.begin(), in_force.end(), survives);
}

void Nemesis::lose_folder() {
  Host* host = world_.hosts[random_.below(world_.hosts.size())].get();
  if (host->state() == Host::State::removed || host->life() == 0 || !may_lose(host->id())) return;
  count(Fault::wipe);
  if (host->runs()) crash(*host);
  host->wipe();
}

// --- Healing.

void Nemesis::reset_host(Host& host) const {
  host.disarm();
  if (host.state() == Host::State::paused) host.resume();
  DiskProfile& profile = host.disk().profile;
  profile = {};
  profile.log_sync_us_max = world_.options.sync_us;
  profile.log_sync_us_min = profile.log_sync_us_max / 2;
  host.set_tick_rate(1000);
  if (host.build() < world_.options.last_level()) {
    if (host.runs()) crash(host);
    host.install(world_.options.last_level());
  }
  const bool ended = host.state() == Host::State::off || host.state() == Host::State::failed;
  if (ended && host.life() > 0) host.start();
}

void Nemesis::heal_core(const std::vector<bool>& in_core) {
  stopped_ = true;
  ++epoch_;
  Network& network = world_.network;
  // Only links inside the core heal; broken links to and from the other hosts stay broken.
  std::vector<std::pair<std::size_t, std::size_t>> broken;
  for (std::size_t from = 0; from < in_core.size(); ++from) {
    for (std::size_t to = 0; to < in_core.size(); ++to) {
      if (from == to || (in_core[from] && in_core[to])) continue;
      if (!network.reaches(from, to) || random_.below(3) == 0) broken.emplace_back(from, to);
    }
  }
  network.heal();
  network.set_calm(true);
  for (const auto& [from, to] : broken) network.block(from, to);
  for (std::size_t i = 0; i < in_core.size(); ++i) {
    if (in_core[i]) {
      reset_host(*world_.hosts[i]);
    } else {
      DiskProfile& profile = world_.hosts[i]->disk().profile;
      // A leader with a full disk serves reads and removals and refuses writes that grow, so no
      // write can be demanded while it reaches a quorum.
      profile.capacity_bytes = DiskProfile{}.capacity_bytes;
      // A leader whose disk hangs hands over (hazard 104), and its term ends.
      profile.stall_per_million = 0;
    }
  }
}

void Nemesis::revive(const std::vector<bool>& in_core) const {
  for (std::size_t i = 0; i < in_core.size(); ++i) {
    Host& host = *world_.hosts[i];
    if (in_core[i] && host.state() == Host::State::failed) host.start();
  }
}

void Nemesis::heal_all() {
  stopped_ = true;
  ++epoch_;
  world_.network.heal();
  world_.network.set_calm(true);
  for (const auto& host : world_.hosts) reset_host(*host);
}

}  // namespace iris::sim
