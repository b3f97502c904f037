// The leases of a whole cluster while leaders change: none ends early, none lives for ever.
#include <cstdlib>

#include "tests/listeners/lease_world.h"

#include "tests/catch.h"  // last: its CHECK must not stand in for raft/check.h's

namespace iris::testing {
namespace {

void require_no_complaint(const LeaseWorld& world, std::uint64_t seed) {
  INFO("seed " << seed);
  INFO((world.complaints().empty() ? std::string() : world.complaints().front()));
  REQUIRE(world.complaints().empty());
}

// A leader leads for `lead_ticks`; then another does, at once or, where the leader crashed, a
// little later. The crashed one comes back.
class Changes {
 public:
  Changes(LeaseWorld& world, std::uint64_t lead_ticks, bool crash)
      : world_(world), lead_ticks_(lead_ticks), crash_(crash) {}

  void step() {
    if (--left_ == 0) {
      const std::optional<std::size_t> next = world_.successor();
      REQUIRE(next);
      const std::optional<std::size_t> former = world_.leader();
      if (crash_) {
        world_.crash(*former);
        world_.steps(10);
      }
      world_.lead(next);
      if (crash_) world_.restart(*former);
      ++changes_;
      left_ = lead_ticks_;
    }
    world_.step();
  }
  [[nodiscard]] std::uint64_t changes() const { return changes_; }

 private:
  LeaseWorld& world_;
  std::uint64_t lead_ticks_;
  bool crash_;
  std::uint64_t left_ = 200;  // of the first one
  std::uint64_t changes_ = 0;
};

void silent_sessions_expire(bool crash, bool one_is_dead) {
  LeaseWorldOptions options;
  options.nodes = one_is_dead ? 5 : 3;
  LeaseWorld world(options);
  world.lead(0);
  for (const char* session : {"a", "b", "c", "d", "e", "f", "g"}) world.subscribe(session);
  for (const char* session : {"a", "b", "c"}) world.open(session, 1);
  for (const char* session : {"d", "e"}) world.open(session, 2);
  world.open("f", 0);
  world.steps(100);
  if (one_is_dead) world.crash(4);
  Changes changes(world, 100, crash);
  for (int i = 0; i < 300; ++i) changes.step();
  for (const char* session : {"a", "d", "f"}) world.close(session);
  const std::uint64_t closed = world.now();
  // Within a lease, what a change of leader costs (the way of one message), and the way of the
  // command; "g" was never served.
  const std::uint64_t slack = 60;
  while (world.now() < closed + world.ttl() + slack) {
    for (const char* session : {"b", "c", "e"}) {  // served by whoever is there
      for (std::size_t node = 0; node < 3 && !world.is_open(session); ++node) {
        if (world.runs(node)) world.open(session, node);
      }
    }
    changes.step();
  }
  CHECK(changes.changes() >= 5);
  for (const char* session : {"a", "d", "f", "g"}) {
    INFO(session);
    CHECK_FALSE(world.exists(session));
  }
  for (const char* session : {"b", "c", "e"}) {
    INFO(session);
    CHECK(world.exists(session));
  }
  require_no_complaint(world, options.seed);
}

TEST_CASE("a session that nobody listens to expires in time though leaders change every second") {
  silent_sessions_expire(false, false);
}

TEST_CASE("a session that nobody listens to expires in time though every leader crashes") {
  silent_sessions_expire(true, false);
}

TEST_CASE("a member that is dead keeps no session alive, and no leader from expiring any") {
  silent_sessions_expire(false, true);
}

TEST_CASE("a session that was served by a node that crashed expires a lease after it") {
  LeaseWorld world({});
  world.lead(0);
  world.subscribe("a");
  world.open("a", 2);
  world.steps(300);
  world.crash(2);
  world.steps(world.ttl());
  CHECK(world.exists("a"));           // its client may still come back
  world.steps(world.ttl() / 4 + 10);  // until then the node might have served it
  CHECK_FALSE(world.exists("a"));
  require_no_complaint(world, 1);
}

TEST_CASE("where nothing changes a follower and its leader exchange a message now and then") {
  LeaseWorld world({});
  world.lead(0);
  for (int i = 0; i < 500; ++i) {
    world.subscribe(std::to_string(i));
    world.open(std::to_string(i), static_cast<std::size_t>(i % 3));
  }
  world.steps(1'000);
  const std::uint64_t before = world.messages();
  world.steps(1'000);
  // Two followers, and 16 reports within a lease, each answered.
  CHECK(world.messages() - before <= std::uint64_t{2 * 2 * 16} * (1'000 / world.ttl() + 1));
  for (int i = 0; i < 500; ++i) CHECK(world.exists(std::to_string(i)));
  require_no_complaint(world, 1);
}

TEST_CASE("a node of a former build keeps its sessions alive, under a leader of either build") {
  LeaseWorldOptions options;
  options.silent_build = true;
  for (const std::size_t leader : {0u, 2u}) {
    LeaseWorld world(options);
    world.lead(leader);
    for (const char* session : {"old", "new", "gone"}) world.subscribe(session);
    world.open("old", 2);
    world.open("new", 1);
    world.steps(4 * world.ttl());
    CHECK(world.exists("old"));
    CHECK(world.exists("new"));
    CHECK_FALSE(world.exists("gone"));
    require_no_complaint(world, 1);
  }
}

// --- Anything may happen.

void random_run(std::uint64_t seed, std::uint64_t steps) {
  sim::Random random(seed * 7'919);
  LeaseWorldOptions options;
  options.seed = seed;
  options.nodes = random.below(2) == 0 ? 3 : 5;
  options.delay_max = random.below(6);
  const bool cuts = random.below(3) != 0;  // of links, in one direction or both
  const bool crashes = random.below(3) != 0;
  options.silent_build = random.below(4) == 0;
  const std::uint64_t calm = random.between(20, 200);
  LeaseWorld world(options);
  world.lead(0);
  const auto name = [&] { return std::string(1, static_cast<char>('a' + random.below(8))); };
  for (std::uint64_t step = 0; step < steps; ++step) {
    const std::size_t node = random.below(options.nodes);
    const std::size_t other = random.below(options.nodes);
    const std::string session = name();
    if (random.below(20) == 0) {
      if (random.below(4) == 0) world.subscribe(session);
      if (random.below(2) == 0) {
        world.close(session);
      } else if (world.runs(node)) {
        if (!world.exists(session)) world.subscribe(session);
        world.open(session, node);
      }
    }
    if (cuts && random.below(calm) == 0) {
      if (node != other) world.block(node, other, random.below(2) == 0);
    }
    if (crashes && random.below(2 * calm) == 0 && world.runs(node)) world.crash(node);
    if (random.below(calm) == 0 && !world.runs(node)) world.restart(node);
    if (random.below(world.leader() ? 3 * calm : 20) == 0) {
      // The nodes that are not in touch lead now and then, too.
      if (const auto next =
              random.below(4) != 0 || !world.runs(node) ? world.successor() : std::optional(node)) {
        world.lead(next);
      }
    }
    world.step();
    if (!world.complaints().empty()) break;
  }
  require_no_complaint(world, seed);
}

TEST_CASE("no session of which nodes report is expired, whatever happens") {
  const char* seeds = std::getenv("IRIS_SEEDS");
  const std::uint64_t count = seeds != nullptr ? std::strtoull(seeds, nullptr, 10) : 60;
  for (std::uint64_t seed = 1; seed <= count; ++seed) random_run(seed, 4'000);
}

}  // namespace
}  // namespace iris::testing
