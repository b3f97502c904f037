#include "tests/sim/run.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "raft/members.h"
#include "tests/sim/calls.h"
#include "tests/sim/nemesis.h"
#include "tests/sim/odd_one.h"
#include "tests/sim/operators.h"
#include "tests/sim/report.h"
#include "tests/sim/subscriber.h"
#include "tests/sim/workload.h"
#include "tests/sim/world.h"

namespace iris::sim {
namespace {

constexpr std::uint64_t ms = 1000;
constexpr std::uint64_t second = 1000 * ms;
// With more events than this under way, messages multiply (hazard 37, invariant RB).
constexpr std::size_t pending_max = 200'000;

class Run {
 public:
  explicit Run(const SimOptions& options)
      : world_(options),
        calls_(world_),
        nemesis_(world_),
        operators_(world_, calls_, nemesis_),
        workload_(world_, calls_),
        odd_one_(world_, calls_, [this](std::uint64_t us) { advance(us); }),
        random_(world_.random(RandomStream::phases)) {
    world_.on_process_end = [this](Host& host, std::uint64_t life) {
      calls_.process_ended(host, life);
      nemesis_.process_ended(host);
      for (const auto& subscriber : subscribers_) subscriber->process_ended(host, life);
    };
    for (std::uint64_t i = 0; i < options.subscribers; ++i) {
      subscribers_.push_back(std::make_unique<Subscriber>(world_, calls_, i));
    }
  }

  void begin_trace(bool trace) { begin_report(world_.options.seed, &world_.timeline, trace); }

  Verdict go() {
    begin();
    safety();
    liveness();
    converge("after healing");
    sweep();
    if (odd_one_.run([this](const Host& host) { return nemesis_.may_lose(host.id()); },
                     patience_us() + snapshots_us())) {
      converge("after the odd one");
      sweep();
    }
    restart_all();
    converge("after a restart of all");
    sweep();
    world_.stats.seeds = 1;
    world_.stats.simulated_us = world_.now_us();
    world_.stats.expired = world_.ghost.sessions().expirations();
    return {world_.stats, world_.timeline.hash()};
  }

 private:
  // --- Phases.

  void begin() {
    const SimOptions& options = world_.options;
    nemesis_.start();
    if (options.bootstrap_alone) {
      world_.hosts[0]->start_as_first();
      for (std::size_t i = 1; i < options.voters; ++i) world_.hosts[i]->start();
    } else {
      raft::Members members;
      for (std::size_t i = 0; i < options.voters; ++i) {
        members.voters.push_back({world_.hosts[i]->id(), world_.hosts[i]->address()});
      }
      const auto first = std::make_shared<raft::Entry>(raft::Entry{{{1}, {1}}, members});
      for (std::size_t i = 0; i < options.voters; ++i) {
        world_.hosts[i]->preload({mix(options.seed) | 1}, first);
        world_.hosts[i]->start();
      }
    }
    operators_.start();
    workload_.start();
    for (const auto& subscriber : subscribers_) subscriber->start();
  }

  void safety() {
    TRACE(-1, "--- safety");
    advance(world_.options.safety_us);
  }

  void liveness() {
    operators_.stop();
    nemesis_.stop();
    std::vector<bool> core = heal_some();
    // A membership change asked for earlier may finish now, and need other hosts.
    while (!write_through(core) || !check_steady(core)) core = heal_some();
  }

  std::vector<bool> heal_some() {
    std::vector<bool> core = choose_core();
    std::string names;
    for (std::size_t i = 0; i < core.size(); ++i) {
      if (core[i]) names += " h" + std::to_string(i);
    }
    TRACE(-1, "--- liveness of" + names);
    nemesis_.heal_core(core);
    return core;
  }

  void converge(const std::string& when) {
    TRACE(-1, "--- convergence " + when);
    workload_.stop();
    nemesis_.heal_all();
    for (const auto& subscriber : subscribers_) subscriber->settle();
    const std::uint64_t until_us =
        world_.now_us() + 2 * patience_us() + snapshots_us() + streams_us();
    const std::string disagreed = "no agreement " + when + ": ";
    std::string why;
    while (!agree(why)) {
      if (world_.now_us() >= until_us) violation("LV", disagreed + why);
      nemesis_.revive(std::vector<bool>(world_.hosts.size(), true));
      advance(100 * ms);
    }
    for (const auto& host : world_.hosts) {
      if (host->state() == Host::State::up) host->enter([&] { host->node_judge().check_all(); });
    }
  }

  void restart_all() {
    TRACE(-1, "--- restart of all");
    for (const auto& host : world_.hosts) {
      if (host->runs()) nemesis_.crash(*host);
    }
  }

  // --- Pieces.

  void advance(std::uint64_t time_us) {
    const std::uint64_t until_us = world_.now_us() + time_us;
    while (world_.timeline.step(until_us)) ++world_.stats.events;
    VERIFY(world_.timeline.pending() < pending_max, "RB",
           std::to_string(world_.timeline.pending()) + " events are under way");
  }

  [[nodiscard]] std::uint64_t patience_us() const { return 40 * world_.election_us() + 5 * second; }

  // Each host may need all data, one host after the other, in pieces of the drawn size.
  [[nodiscard]] std::uint64_t snapshots_us() const {
    const SimOptions& options = world_.options;
    std::size_t bytes = 0;
    for (const auto& host : world_.hosts) bytes = std::max(bytes, host->disk().used_bytes());
    const std::uint64_t windows = 1 + bytes / options.node.snapshot_window_bytes;
    const std::uint64_t round_us = 2 * (options.delay_us + options.jitter_us) + options.sync_us;
    return world_.hosts.size() * windows * round_us;
  }

  // Uncommitted entries that hosts hold precede a new write, in pieces of the drawn size: one entry
  // at a time, in the worst case.
  [[nodiscard]] std::uint64_t backlog_us() const {
    const SimOptions& options = world_.options;
    std::uint64_t furthest = 0;
    for (const auto& host : world_.hosts) {
      if (host->runs()) furthest = std::max(furthest, host->node().core().status().last.value);
    }
    const std::uint64_t entries = furthest - std::min(furthest, world_.ghost.committed().value);
    return entries * (2 * (options.delay_us + options.jitter_us) + log_sync_us_max(options));
  }

  // A stream may have to send everything again, at the pace of its reader.
  [[nodiscard]] std::uint64_t streams_us() const {
    std::uint64_t longest_us = 0;
    for (const auto& subscriber : subscribers_) {
      longest_us = std::max(longest_us, subscriber->retold_us(world_.ghost.committed().value));
    }
    return longest_us;
  }

  // True: they are a quorum of every configuration in force on some node.
  [[nodiscard]] bool is_enough(const std::vector<bool>& core) {
    const std::vector<raft::Members> in_force = world_.members_in_force();
    return std::all_of(in_force.begin(), in_force.end(), [&](const raft::Members& members) {
      return is_quorum(members, [&](raft::NodeId id) {
        const Host* host = world_.host_of(id);
        return host != nullptr && core[host->number()];
      });
    });
  }

  // True: every voter has the address that all configurations in force have for it.
  [[nodiscard]] bool all_are_in_place() {
    for (const raft::Members& members : world_.members_in_force()) {
      for (const raft::Member& member : raft::all_members(members)) {
        const Host* host = world_.host_of(member.id);
        if (host != nullptr && host->address() != member.address) return false;
      }
    }
    return true;
  }

  // A random set of hosts that suffices.
  std::vector<bool> choose_core() {
    std::vector<bool> core(world_.hosts.size());
    const raft::Members& committed = world_.ghost.members();
    for (const auto& host : world_.hosts) {
      // A host that was admitted again after its removal is started again by the operators.
      const bool lives =
          host->state() != Host::State::removed || contains(committed.voters, host->id());
      core[host->number()] = lives && host->life() > 0;
    }
    VERIFY(is_enough(core), "LV",
           "the folders that are left are no quorum (a fault of the simulator)");
    // A host that moved is found only through hosts that know it or that it knows: any may be
    // needed.
    if (!all_are_in_place()) return core;
    for (std::size_t tries = 2 * core.size(); tries > 0; --tries) {
      const std::size_t i = random_.below(core.size());
      const bool before = core[i];
      core[i] = false;
      if (!is_enough(core)) core[i] = before;
    }
    return core;
  }

  // Every host of the core takes a write within the time that elections need. False: the
  // configuration changed meanwhile, and the core is not enough any more.
  bool write_through(const std::vector<bool>& core) {
    const std::uint64_t until_us = world_.now_us() + patience_us() + 2 * backlog_us();
    std::vector<bool> done(core.size());
    std::vector<bool> open(core.size());
    const std::uint64_t timeout_ms = (4 * world_.election_us() + backlog_us()) / ms;
    for (std::size_t missing = 1; missing > 0 && is_enough(core);) {
      nemesis_.revive(core);
      missing = std::find(done.begin(), done.end(), true) == done.end() ? 1 : 0;
      VERIFY(world_.now_us() < until_us, "LV", "no write at all in a healthy quorum");
      for (std::size_t i = 0; i < core.size(); ++i) {
        Host& host = *world_.hosts[i];
        if (!core[i] || done[i] || host.state() == Host::State::removed) continue;
        if (!is_voter(host) || is_cut_off(core, host)) continue;
        ++missing;
        VERIFY(world_.now_us() < until_us, "LV",
               "no write through h" + std::to_string(i) + " in a healthy quorum");
        if (open[i] || !host.runs()) continue;
        open[i] = true;
        calls_.write(host, SetValue{"live", "k", "live" + std::to_string(++lives_), std::nullopt},
                     timeout_ms, [&, i](CallResult answer, std::uint64_t) {
                       open[i] = false;
                       if (answer == CallResult::ok) done[i] = true;
                     });
      }
      if (missing > 0) advance(10 * ms);
    }
    // The closures above end with this function, so no call may still hold them.
    while (std::find(open.begin(), open.end(), true) != open.end()) advance(10 * ms);
    return is_enough(core);
  }

  // The leader may be one of the other hosts, with a quorum that it reaches. A host of the core
  // that it does not reach then waits for as long as that lasts (thesis 9.6 has no remedy either).
  [[nodiscard]] bool is_cut_off(const std::vector<bool>& core, const Host& host) {
    const Host* leader = world_.leader();
    if (leader == nullptr || core[leader->number()]) return false;
    return !world_.network.reaches(leader->number(), host.number()) ||
           !world_.network.reaches(host.number(), leader->number());
  }

  [[nodiscard]] bool is_voter(const Host& host) const {
    // Before the first commit only the folders hold a configuration.
    return contains(world_.ghost.committed().value > 0 ? world_.ghost.members().voters
                                                       : host.latest_members().second.voters,
                    host.id());
  }

  // With a healthy quorum, campaigns of the other hosts change nothing. False: the configuration
  // changed meanwhile, perhaps to one in which the core is no quorum.
  [[nodiscard]] bool check_steady(const std::vector<bool>& core) {
    advance(10 * world_.election_us());
    // A disk that began to hang before the healing may still make a leader hand over (hazard 104).
    if (world_.options.has(Fault::stall)) advance(disk_stall_us_max);
    const raft::Index members = latest_members(core);
    const raft::Term before = highest_term(core);
    advance(20 * world_.election_us());
    if (latest_members(core) != members) return false;
    const raft::Term after = highest_term(core);
    VERIFY(before == after, "TS",
           "the term of a healthy quorum grows from " + std::to_string(before.value) + " to " +
               std::to_string(after.value));
    return true;
  }

  // The latest entry that made a configuration, be it committed or not.
  [[nodiscard]] raft::Index latest_members(const std::vector<bool>& core) const {
    raft::Index latest;
    for (std::size_t i = 0; i < core.size(); ++i) {
      if (core[i]) latest = std::max(latest, world_.hosts[i]->latest_members().first);
    }
    return latest;
  }

  [[nodiscard]] raft::Term highest_term(const std::vector<bool>& core) const {
    raft::Term highest;
    for (std::size_t i = 0; i < core.size(); ++i) {
      const Host& host = *world_.hosts[i];
      if (core[i] && host.runs()) highest = std::max(highest, host.node().core().term());
    }
    return highest;
  }

  // All members have applied the same; no removed node still runs; no change is half done.
  bool agree(std::string& why) {
    const raft::Members& members = world_.ghost.members();
    if (members.level < world_.options.last_level() && all_are_there(members)) {
      why = "the feature level is not raised";
      return false;
    }
    if (!members.outgoing.empty()) {
      why = "the configuration is still joint";
      return false;
    }
    for (const auto& host : world_.hosts) {
      const std::string name = "h" + std::to_string(host->number());
      const bool member = raft::find_staying(members, host->id()) != nullptr;
      if (!member && host->runs() && host->node().admitted() && finds_a_member(*host)) {
        why = name + " was removed and does not know it";
        return false;
      }
      if (!member || is_lost(*host)) continue;
      if (!host->runs() || host->node().applied() != world_.ghost.committed()) {
        why = name + " has not applied all that is committed";
        return false;
      }
    }
    if (calls_.open() > 0) {
      why = "calls are open";
      return false;
    }
    for (std::size_t i = 0; i < subscribers_.size(); ++i) {
      const std::string lacks = subscribers_[i]->lacks();
      if (lacks.empty()) continue;
      why = "S" + std::to_string(i) + " " + lacks;
      return false;
    }
    return true;
  }

  // A member whose folder is lost, or that nobody finds, holds the feature level back for ever.
  [[nodiscard]] bool all_are_there(const raft::Members& members) {
    const std::vector<raft::Member> all = raft::all_members(members);
    return std::all_of(all.begin(), all.end(), [&](const raft::Member& member) {
      const Host* host = world_.host_of(member.id);
      return host != nullptr && !is_lost(*host);
    });
  }

  // Every member answers every read like the model.
  void sweep() {
    for (const auto& host : world_.hosts) {
      if (!host->runs() || !is_voter(*host) || is_lost(*host)) continue;
      const std::uint64_t until_us = world_.now_us() + patience_us();
      for (std::uint64_t source = 0; source <= world_.options.sources;) {
        if (read_list(*host, source)) {
          ++source;
          continue;
        }
        // A node may be busy for a while, but not for ever.
        VERIFY(world_.now_us() < until_us, "LV", "reads in a healthy cluster fail");
      }
    }
  }

  bool read_list(Host& host, std::uint64_t source) {
    std::optional<CallResult> answer;
    const Calls::Then then = [&answer](CallResult given, std::uint64_t) { answer = given; };
    const std::uint64_t deadline_ms = patience_us() / ms;
    if (source == world_.options.sources) {
      calls_.list_sources(host, Consistency::linearizable, 0, deadline_ms, then);
    } else {
      calls_.list_keys(host, "s" + std::to_string(source), Consistency::linearizable, 0,
                       deadline_ms, then);
    }
    while (!answer) advance(1 * ms);
    return *answer == CallResult::ok;
  }

  // A member that no other finds, because its move is not committed, and that finds no other,
  // because all that it knows have moved: the same as below.
  [[nodiscard]] bool is_lost(const Host& host) {
    const raft::Member* self = raft::find_member(world_.ghost.members(), host.id());
    return self != nullptr && self->address != host.address() && !finds_a_member(host);
  }

  // A removed node that got no removal notice, and that knows no member's present address, waits in
  // vain in a system without a directory.
  [[nodiscard]] bool finds_a_member(const Host& host) {
    const raft::Members known = host.latest_members().second;
    const raft::Members& members = world_.ghost.members();
    return std::any_of(known.voters.begin(), known.voters.end(), [&](const raft::Member& voter) {
      const Host* there = world_.host_of(voter.id);
      return there != nullptr && there->address() == voter.address &&
             contains(members.voters, voter.id);
    });
  }

  World world_;
  Calls calls_;
  Nemesis nemesis_;
  Operators operators_;
  Workload workload_;
  OddOne odd_one_;
  std::vector<std::unique_ptr<Subscriber>> subscribers_;
  Random random_;
  std::uint64_t lives_ = 0;
};

}  // namespace

Verdict run(const SimOptions& options, bool trace) {
  auto run = std::make_unique<Run>(options);
  run->begin_trace(trace);
  Verdict verdict = run->go();
  begin_report(options.seed, nullptr, false);
  return verdict;
}

}  // namespace iris::sim
