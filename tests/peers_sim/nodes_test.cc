// Nodes with the production raft port between them: clients write at every node, which forwards to
// the leader over streams that break at any byte. Judged: each write is done once at most; one that
// was answered as done is done, one that was answered as not done never is; once the network is
// well all nodes agree and writes succeed at each of them.
#include <map>
#include <memory>
#include <set>
#include <string>

#include "src/machine/command.h"
#include "src/node/node.h"
#include "src/peers/peers.h"
#include "tests/peers_sim/node_program.h"
#include "tests/peers_sim/seeds.h"
#include "tests/peers_sim/world.h"
#include "tests/sim/model_store.h"

#include "tests/catch.h"  // last: its CHECK must not stand in for raft/check.h's

namespace iris::peers_sim {
namespace {

constexpr raft::ClusterId cluster{0xc1};
constexpr std::uint64_t agree_us = 60'000'000;

class NodesRun {
 public:
  explicit NodesRun(const Plan& plan)
      : work_(plan.seed, static_cast<std::uint64_t>(Stream::work)),
        world_(plan, [this](Host& host) { return make(host); }) {
    const auto first = std::make_shared<raft::Entry>(
        raft::Entry{.id = {{1}, {1}}, .payload = raft::Members{.voters = world_.members()}});
    for (std::size_t number = 0; number < world_.size(); ++number) {
      disks_.push_back(
          std::make_unique<sim::ModelDisk>(world_.host(number).id(), sim::mix(plan.seed + number)));
      disks_.back()->preload(cluster, first);
    }
  }

  // Empty: all was well.
  std::string run() {
    world_.start_all();
    world_.begin_faults();
    work_later();
    world_.run_for(world_.plan().faults_us);
    world_.heal();
    if (!world_.until([this] { return agree(); }, agree_us)) {
      world_.wrong("AGREE", "no fresh write is done at every node");
    }
    return world_.violation();
  }
  [[nodiscard]] std::uint64_t done() const { return done_; }

  // --- For scenarios.
  [[nodiscard]] World& world() { return world_; }
  [[nodiscard]] NodeProgram& at(std::size_t number) {
    return static_cast<NodeProgram&>(world_.host(number).program());
  }
  // The host that leads; none: size().
  [[nodiscard]] std::size_t leader() {
    std::size_t best = world_.size();
    raft::Term term;
    for (std::size_t number = 0; number < world_.size(); ++number) {
      if (!world_.host(number).runs() || !at(number).leads()) continue;
      if (at(number).node().core().term() <= term) continue;
      best = number;
      term = at(number).node().core().term();
    }
    return best;
  }
  // The leader, once all others follow it; none in time: size().
  std::size_t settled_leader() {
    const auto settled = [this] {
      for (std::size_t number = 0; number < world_.size(); ++number) {
        if (leader() == world_.size()) return false;
        const raft::NodeId known = at(number).node().core().leader();
        if (known != world_.host(leader()).id()) return false;
        for (const raft::Member& other : world_.members()) {
          const bool self = other.id == world_.host(number).id();
          if (!self && !at(number).peers().connected(other.id)) return false;
        }
      }
      return true;
    };
    return world_.until(settled, agree_us) ? leader() : world_.size();
  }

 private:
  std::unique_ptr<Program> make(Host& host) {
    return std::make_unique<NodeProgram>(
        host, world_, *disks_[host.number()],
        [this](const raft::EntryPtr& entry) { judge_applied(*entry); },
        [this, &host](const Error& why) {
          world_.wrong("HALT", host.address() + " ended: " + why.text);
        });
  }

  // --- Work.

  void work_later() {
    world_.timeline().after(work_.between(1, 2 * world_.plan().message_every_us), [this] {
      if (world_.timeline().now_us() >= world_.plan().faults_us) return;
      Host& host = world_.host(work_.below(world_.size()));
      if (host.runs() && !host.paused()) {
        write(host.number(), work_.between(1, world_.plan().message_bytes_max));
      }
      work_later();
    });
  }

  std::string write(std::size_t number, std::size_t bytes) {
    std::string key = std::to_string(++writes_);
    at(number).node().submit(
        SetValue{"source", key, std::string(bytes, 'x'), std::nullopt}, work_.between(100, 4000),
        [this, key](const Result<Outcome>& result) { judge_answer(key, result); });
    return key;
  }

  // --- Judgement.

  void judge_applied(const raft::Entry& entry) {
    const auto* bytes = std::get_if<raft::Command>(&entry.payload);
    if (bytes == nullptr) return;
    const auto command = parse(*bytes);
    if (!command || !command->key) return world_.wrong("COMMAND", "an entry cannot be read");
    const std::string key(*command->key);
    const auto [known, added] = applied_.emplace(key, entry.id.index.value);
    if (!added && known->second != entry.id.index.value) {
      world_.wrong("ONCE", "write " + key + " was done at " + std::to_string(known->second) +
                               " and again at " + std::to_string(entry.id.index.value));
    }
    if (not_done_.contains(key)) {
      world_.wrong("NOT-DONE", "write " + key + " was answered as not done, and is done");
    }
  }

  void judge_answer(const std::string& key, const Result<Outcome>& result) {
    const auto applied = applied_.find(key);
    if (result) {
      ++done_;
      answered_.insert(key);
      if (applied == applied_.end() || applied->second != result->revision) {
        world_.wrong("ACK", "write " + key + " was answered with a revision it was not done at");
      }
    } else if (result.error().code == Errc::unavailable) {
      not_done_.insert(key);
      if (applied != applied_.end()) {
        world_.wrong("NOT-DONE", "write " + key + " is done, and was answered as not done");
      }
    }
  }

  // A write that began after the faults is done at each node, and each has applied the same.
  bool agree() {
    if (world_.timeline().now_us() >= next_try_us_) {
      next_try_us_ = world_.timeline().now_us() + 500'000;
      for (std::size_t number = 0; number < world_.size(); ++number) {
        fresh_[number].insert(write(number, 10));
      }
    }
    for (std::size_t number = 0; number < world_.size(); ++number) {
      bool one = false;
      for (const std::string& key : fresh_[number]) one = one || answered_.contains(key);
      if (!one || at(number).node().applied() != at(0).node().applied()) return false;
      if (disks_[number]->data().digest() != disks_[0]->data().digest()) return false;
    }
    return true;
  }

  sim::Random work_;
  std::vector<std::unique_ptr<sim::ModelDisk>> disks_;
  std::uint64_t writes_ = 0;
  std::uint64_t done_ = 0;
  std::map<std::string, std::uint64_t> applied_;  // write -> index
  std::set<std::string> answered_;                // as done
  std::set<std::string> not_done_;                // answered so
  std::map<std::size_t, std::set<std::string>> fresh_;
  std::uint64_t next_try_us_ = 0;
  World world_;
};

Plan quiet_plan(std::uint64_t seed) {
  Plan plan;
  plan.seed = seed;
  plan.peers.port = Network::endpoint_of(0).port();
  return plan;
}

}  // namespace

TEST_CASE("a forwarded write is done once at most, over streams that break at any byte (80, 108)") {
  const Seeds seeds = seeds_of(300);
  std::uint64_t done = 0;
  for (std::uint64_t seed = seeds.first; seed < seeds.first + seeds.count; ++seed) {
    CAPTURE(seed);
    NodesRun run(draw_node_plan(seed));
    const std::string violation = run.run();
    if (!violation.empty()) FAIL(violation);
    done += run.done();
  }
  if (seeds.count >= 10) CHECK(done > 50 * seeds.count);
}

TEST_CASE("a leader that stops hands over, whichever voter has just gone (hazard 17)") {
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    const bool power_fails = seed % 2 == 0;
    CAPTURE(seed, power_fails);
    NodesRun run(quiet_plan(seed));
    World& world = run.world();
    world.start_all();
    const std::size_t leader = run.settled_leader();
    REQUIRE(leader < world.size());
    world.run_for(300'000 + seed * 7'000);  // both have the whole log; at any time between beats
    const std::size_t gone = (leader + 1 + seed / 2 % 2) % world.size();
    if (power_fails) world.network().set_power(gone, false);
    world.host(gone).end();
    world.run_for(10'000);
    bool resigned = false;
    run.at(leader).node().resign(600, [&] { resigned = true; });
    const std::size_t other = 3 - leader - gone;
    CHECK(world.until([&] { return resigned && run.at(other).leads(); }, 600'000));
  }
}

}  // namespace iris::peers_sim
