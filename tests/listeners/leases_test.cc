// How long sessions live: leases, and the commands that end them.
#include "tests/listeners/leases_node.h"

#include "tests/catch.h"  // last: its CHECK must not stand in for raft/check.h's

namespace iris::testing {
namespace {

TEST_CASE("a session that no node serves for its lease is expired by the leader (old fault 18)") {
  Cluster cluster;
  LeasesNode node(cluster);
  node.lead(10);
  node.apply(Subscribe{"idle", "s", {}});
  node.apply(Subscribe{"here", "s", {}});
  node.leases.opened("here");
  node.lead(990);
  CHECK(node.take_proposed().empty());
  node.lead(20);
  REQUIRE(node.proposed.size() == 1);
  const ExpireSessions command = node.proposed[0];
  CHECK(command.sessions == Names{"idle"});
  CHECK(command.up_to == 2);
  CHECK(node.leases.size() == 2);
  node.apply(command);
  CHECK(node.leases.size() == 1);
  CHECK_FALSE(find_session(*cluster.store->hold(), "idle"));
  node.proposed.clear();
  node.lead(3'000);
  CHECK(node.take_proposed().empty());
  node.leases.closed("here");
  node.lead(990);
  CHECK(node.take_proposed().empty());
  node.lead(20);
  CHECK(node.take_proposed() == Names{"here"});
}

TEST_CASE("a new leader that was told nothing grants a whole lease to every session it finds") {
  Cluster cluster;
  for (int i = 0; i < 2'500; ++i) cluster.subscribe(std::to_string(i), "s");
  LeasesNode node(cluster);
  node.follow(5'000);
  CHECK(node.leases.size() == 0);
  node.lead(990, {2});
  CHECK(node.leases.size() == 2'500);
  CHECK(node.proposed.empty());
  node.lead(100, {2});
  REQUIRE(node.proposed.size() == 1);
  CHECK(node.proposed[0].sessions.size() == 1'000);
  CHECK(node.proposed[0].up_to == 2'500);  // although it applied nothing in this life
  while (!node.proposed.empty()) {
    const ExpireSessions command = node.proposed.back();
    node.proposed.clear();
    node.apply(command);
    node.lead(10, {2});
  }
  CHECK(node.leases.size() == 0);
  CHECK_FALSE(find_session(*cluster.store->hold(), "77"));
}

TEST_CASE("a new leader goes on with the leases that it was told of") {
  Cluster cluster;
  for (const char* session : {"silent", "served", "young"}) cluster.subscribe(session, "s");
  LeasesNode node(cluster);
  node.follow(100);
  LeaseChanges changes{.term = {1}, .up_to = 3, .latest = true};
  changes.sent = node.take_sent_time();
  changes.silent = {{"silent", 800}, {"young", 100}};
  SECTION("in step") {
    node.told(changes);
    node.lead(150, {2});
    CHECK(node.take_proposed().empty());
    node.lead(100, {2});
    CHECK(node.take_proposed() == Names{"silent"});
  }
  SECTION("and was told since of a stream") {
    node.told(changes);
    node.told({.term = {1}, .after = 3, .up_to = 4, .latest = true, .served = {"silent"}});
    node.lead(600, {2});
    CHECK(node.take_proposed().empty());
  }
  SECTION("not where there was more to tell") {
    changes.latest = false;
    node.told(changes);
    node.lead(600, {2});
    CHECK(node.take_proposed().empty());
  }
  SECTION("not where it was told too long ago") {
    node.told(changes);
    node.follow(600);
    node.lead(600, {2});
    CHECK(node.take_proposed().empty());
  }
  SECTION("not where the session subscribed meanwhile") {
    node.told(changes);
    node.apply(Subscribe{"silent", "t", {}});
    node.lead(600, {2});
    CHECK(node.take_proposed().empty());
  }
  SECTION("not where the next leader, which tells all, did not tell of it") {
    node.told(changes);
    node.follow(20, {2}, {2});
    LeaseChanges next{.term = {2}, .up_to = 1, .latest = true};
    next.sent = node.take_sent_time();
    node.told(next);
    node.lead(600, {3});
    CHECK(node.take_proposed().empty());
  }
  SECTION("also where the next leader has not told all") {
    node.told(changes);
    node.follow(20, {2}, {2});
    node.told({.term = {2}, .up_to = 1});
    node.lead(200, {3});
    CHECK(node.take_proposed() == Names{"silent"});
  }
  SECTION("not by the word of another term") {
    changes.term = {2};
    node.told(changes);
    node.lead(600, {2});
    CHECK(node.take_proposed().empty());
  }
}

TEST_CASE("a leader that leads again goes on with its own leases") {
  Cluster cluster;
  LeasesNode node(cluster);
  for (const char* session : {"a", "b"}) cluster.subscribe(session, "s");
  node.leases.opened("b");
  for (std::uint64_t term = 1; term < 5; ++term) {
    node.lead(200, {term});
    node.follow(20, {0}, {term});
    CHECK(node.proposed.empty());
  }
  node.lead(200, {5});
  CHECK(node.take_proposed() == Names{"a"});
}

TEST_CASE("a new leader expires nothing before every member has reported or is silent for long") {
  Cluster cluster;
  cluster.subscribe("one", "s");
  LeasesNode node(cluster);
  node.members = members(3);
  node.follow(100);
  LeaseChanges changes{.term = {1}, .up_to = 3, .latest = true};
  changes.silent = {{"one", 5'000}};
  changes.sent = node.take_sent_time();
  const ServedChanges nothing{.term = {2}};
  SECTION("it reports that it serves the session") {
    node.told(changes);
    node.lead(100, {2});
    CHECK(node.proposed.empty());
    node.reported({2}, {.term = {2}, .up_to = 1}, {"one"});
    node.reported({3}, nothing);
    node.lead(100, {2});
    CHECK(node.proposed.empty());
  }
  SECTION("they report that they serve nothing") {
    node.told(changes);
    node.lead(100, {2});
    node.reported({2}, nothing);
    node.lead(50, {2});
    CHECK(node.proposed.empty());
    node.reported({3}, nothing);
    node.lead(10, {2});
    CHECK(node.take_proposed() == Names{"one"});
  }
  SECTION("one is silent") {
    node.told(changes);
    node.lead(230, {2});
    node.reported({2}, nothing);
    CHECK(node.proposed.empty());
    node.lead(40, {2});
    CHECK(node.take_proposed() == Names{"one"});
  }
  SECTION("one was silent before") {
    changes.nodes = {{{3}, 1'000}};
    node.told(changes);
    node.lead(100, {2});
    CHECK(node.proposed.empty());
    node.reported({2}, nothing);
    node.lead(10, {2});
    CHECK(node.take_proposed() == Names{"one"});
  }
}

TEST_CASE("a leader learns from a report that a stream ended shortly before it led") {
  Cluster cluster;
  cluster.subscribe("one", "s");
  LeasesNode node(cluster);
  node.members = members(2);
  node.follow(100);
  LeaseChanges changes{.term = {1}, .up_to = 3, .latest = true, .silent = {{"one", 950}}};
  changes.sent = node.take_sent_time();
  node.told(changes);
  node.lead(20, {2});
  node.reported({2}, {.term = {2}, .up_to = 2, .ended = {{"one", 300}}});
  node.lead(650, {2});
  CHECK(node.proposed.empty());
  node.lead(60, {2});
  CHECK(node.take_proposed() == Names{"one"});
}

TEST_CASE("a command ends as many sessions as an entry carries and a node removes at once") {
  Cluster cluster;
  LeasesOptions options = small();
  options.names_bytes_max = 30;
  options.expire_subscriptions_max = 4;
  LeasesNode node(cluster, options);
  const std::string ten(10, 'a');
  for (const char last : {'1', '2', '3', '4'}) cluster.subscribe(ten.substr(1) + last, "s");
  cluster.subscribe("many", "s");
  const auto next = [&] {
    for (int i = 0; i < 200 && node.proposed.empty(); ++i) node.lead(10);
    REQUIRE(node.proposed.size() == 1);
    const std::size_t sessions = node.proposed[0].sessions.size();
    const ExpireSessions command = std::exchange(node.proposed, {})[0];
    node.apply(command);
    return sessions;
  };
  node.lead(10);
  for (const char* source : {"t", "u", "v"}) node.apply(Subscribe{"many", source, {}});
  for (int i = 0; i < 5; ++i) node.apply(Subscribe{"greater", std::to_string(i), {}});
  CHECK(next() == 3);  // 30 bytes of names, and one more would be over
  CHECK(next() == 1);  // one subscription, and the next session's four would be one over
  CHECK(next() == 1);  // four
  CHECK(next() == 1);  // more than allowed, but alone
  CHECK(node.leases.size() == 0);
}

TEST_CASE(
    "a command ends no more bytes of subscriptions than a node removes at once (hazard 125)") {
  Cluster cluster;
  LeasesOptions options = small();
  options.expire_subscription_bytes_max = 400;
  LeasesNode node(cluster, options);
  const std::string great(150, 's');
  for (const char* session : {"a", "b"}) cluster.subscribe(session, great);
  node.lead(10);
  for (const char* session : {"c", "d", "e"}) node.apply(Subscribe{session, great, {}});
  for (const std::size_t sessions : {2u, 2u, 1u}) {
    for (int i = 0; i < 200 && node.proposed.empty(); ++i) node.lead(10);
    REQUIRE(node.proposed.size() == 1);
    CHECK(node.proposed[0].sessions.size() == sessions);
    node.apply(std::exchange(node.proposed, {})[0]);
  }
}

TEST_CASE("a node that stops leading forgets the leases, and proposes nothing") {
  Cluster cluster;
  LeasesNode node(cluster);
  cluster.subscribe("one", "s");
  node.lead(990);
  CHECK(node.leases.size() == 1);
  node.follow(2'000);
  CHECK(node.leases.size() == 0);
  CHECK(node.proposed.empty());
}

TEST_CASE("a Subscribe renews the lease, and outruns a command that was decided before it") {
  Cluster cluster;
  LeasesNode node(cluster);
  node.lead(10);
  node.apply(Subscribe{"one", "s", {}});
  node.apply(Subscribe{"two", "s", {}});
  node.lead(800);
  node.apply(Subscribe{"one", "s", {}});  // changes nothing, shows life
  node.lead(300);
  REQUIRE(node.proposed.size() == 1);
  CHECK(node.proposed[0].sessions == Names{"two"});
  node.apply(Subscribe{"two", "t", {}});
  node.apply(node.proposed[0]);
  CHECK(find_session(*cluster.store->hold(), "two"));
  CHECK(node.leases.size() == 2);
}

TEST_CASE("a command that was lost is proposed again, one at a time") {
  Cluster cluster;
  LeasesNode node(cluster);
  node.lead(10);
  node.apply(Subscribe{"one", "s", {}});
  node.lead(1'100);
  CHECK(node.take_proposed() == Names{"one"});
  node.lead(100);
  CHECK(node.take_proposed().empty());
  node.lead(100);
  CHECK(node.take_proposed() == Names{"one"});
  node.leases.opened("one");  // it came back meanwhile
  node.lead(900);
  CHECK(node.take_proposed().empty());
}

TEST_CASE("a session of a stream that begins before its first Subscribe is not silent") {
  Cluster cluster;
  LeasesNode node(cluster);
  node.leases.opened("one");
  node.lead(100);
  CHECK(node.leases.size() == 0);  // nothing that could expire
  node.apply(Subscribe{"one", "s", {}});
  node.lead(2'000);
  CHECK(node.leases.size() == 1);
  CHECK(node.proposed.empty());
}

TEST_CASE("a session that expired under its stream is served still when it subscribes again") {
  Cluster cluster;
  LeasesNode node(cluster);
  node.lead(10);
  node.apply(Subscribe{"one", "s", {}});
  node.leases.opened("one");
  node.lead(10);
  node.apply(ExpireSessions{1, {"one"}});  // of a leader that knew no better
  CHECK(node.leases.size() == 0);
  node.apply(Subscribe{"one", "s", {}});
  node.lead(3'000);
  CHECK(node.proposed.empty());
}

TEST_CASE("answers that come after the end of Leases are ignored") {
  Cluster cluster;
  cluster.subscribe("one", "s");
  {
    LeasesNode node(cluster);
    node.leases.tick({1}, {1}, true);  // reads from the store
  }
  cluster.store->settle();
  {
    LeasesNode node(cluster);
    node.leases.tick({1}, {1}, true);
    node.leases.tick({2}, {2}, false);
    cluster.store->settle();  // the answer to a leader that leads no more
    CHECK(node.leases.size() == 0);
  }
}

}  // namespace
}  // namespace iris::testing
