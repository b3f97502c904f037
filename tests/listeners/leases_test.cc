// How long sessions live: reports, leases, and the commands that end them.
#include "src/listeners/leases.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "tests/listeners/harness.h"

#include "tests/catch.h"  // last: its CHECK must not stand in for raft/check.h's

namespace iris::testing {
namespace {

using Names = std::vector<std::string>;

// The leases of one node over the cluster's store; ttl 1 s, ticks of 10 ms.
struct LeasesNode {
  explicit LeasesNode(Cluster& of, LeasesOptions options = {10, 1'000, 1'000, 1'000})
      : cluster(of),
        leases(options, *of.store,
               {[this](ExpireSessions command) { proposed.push_back(std::move(command)); },
                [this](raft::NodeId to, Names sessions) {
                  reports.emplace_back(to, std::move(sessions));
                },
                [this] { return served; }}) {}

  void tick(std::uint64_t ms, raft::NodeId leader, raft::Term term, bool leading) {
    for (std::uint64_t passed = 0; passed < ms; passed += 10) {
      leases.tick(leader, term, leading);
      cluster.store->settle();
    }
  }
  void lead(std::uint64_t ms, raft::Term term = {1}) { tick(ms, {1}, term, true); }
  void follow(std::uint64_t ms, raft::NodeId leader = {1}) { tick(ms, leader, {1}, false); }
  // As a node does with an entry of the log.
  Outcome apply(const Operation& operation) {
    const Outcome outcome = cluster.apply(operation);
    leases.on_applied(cluster.log.back(), outcome);
    return outcome;
  }
  Names take_proposed() {
    Names sessions;
    for (const auto& command : std::exchange(proposed, {})) {
      sessions.insert(sessions.end(), command.sessions.begin(), command.sessions.end());
    }
    std::sort(sessions.begin(), sessions.end());
    return sessions;
  }

  Cluster& cluster;
  std::vector<ExpireSessions> proposed;
  std::vector<std::pair<raft::NodeId, Names>> reports;
  Names served;
  Leases leases;
};

TEST_CASE("a session that no node serves for its lease is expired by the leader (old fault 18)") {
  Cluster cluster;
  LeasesNode node(cluster);
  node.lead(10);
  node.apply(Subscribe{"idle", "s", {}});
  node.apply(Subscribe{"here", "s", {}});
  node.apply(Subscribe{"there", "s", {}});
  node.served = {"here"};
  for (int i = 0; i < 9; ++i) {
    node.lead(100);
    node.leases.on_served({"there", "unknown"});
  }
  CHECK(node.take_proposed().empty());
  node.lead(200);
  REQUIRE(node.proposed.size() == 1);
  const ExpireSessions command = node.proposed[0];
  CHECK(command.sessions == Names{"idle"});
  CHECK(command.up_to == 3);
  CHECK(node.leases.size() == 3);
  node.apply(command);
  CHECK(node.leases.size() == 2);
  CHECK_FALSE(find_session(*cluster.store->hold(), "idle"));
  node.proposed.clear();
  for (int i = 0; i < 30; ++i) {
    node.lead(100);
    node.leases.on_served({"there"});
  }
  CHECK(node.take_proposed().empty());
}

TEST_CASE("a new leader grants a full lease to every session it finds") {
  Cluster cluster;
  for (int i = 0; i < 2'500; ++i) cluster.subscribe(std::to_string(i), "s");
  LeasesNode node(cluster);
  node.follow(5'000);
  CHECK(node.leases.size() == 0);
  node.lead(990, {2});
  CHECK(node.leases.size() == 2'500);
  CHECK(node.proposed.empty());
  node.lead(990, {3});  // elected again: a full lease again
  CHECK(node.proposed.empty());
  node.lead(100, {3});
  REQUIRE(node.proposed.size() == 1);
  CHECK(node.proposed[0].sessions.size() == 1'000);
  CHECK(node.proposed[0].up_to == 2'500);  // although it applied nothing in this life
  while (!node.proposed.empty()) {
    const ExpireSessions command = node.proposed.back();
    node.proposed.clear();
    node.apply(command);
    node.lead(10, {3});
  }
  CHECK(node.leases.size() == 0);
  CHECK_FALSE(find_session(*cluster.store->hold(), "77"));
}

TEST_CASE("a command ends as many sessions as an entry carries and a node removes at once") {
  Cluster cluster;
  LeasesOptions options{10, 1'000, 1'000, 1'000};
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
  LeasesOptions options{10, 1'000, 1'000, 1'000};
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

TEST_CASE("a report carries no more bytes of names than a message, one session at least") {
  Cluster cluster;
  LeasesOptions options{10, 1'000, 1'000, 1'000};
  options.names_bytes_max = 4;
  LeasesNode node(cluster, options);
  node.served = {"ab", "cd", "e", "longer", "f"};
  node.follow(10, {7});
  REQUIRE(node.reports.size() == 4);
  CHECK(node.reports[0].second == Names{"ab", "cd"});
  CHECK(node.reports[1].second == Names{"e"});
  CHECK(node.reports[2].second == Names{"longer"});
  CHECK(node.reports[3].second == Names{"f"});
}

TEST_CASE("a node that stops leading forgets the leases, and proposes nothing") {
  Cluster cluster;
  LeasesNode node(cluster);
  cluster.subscribe("one", "s");
  node.lead(990);
  CHECK(node.leases.size() == 1);
  node.follow(2'000, {2});
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
  node.leases.on_served({"one"});  // it came back meanwhile
  node.lead(900);
  CHECK(node.take_proposed().empty());
}

TEST_CASE("a follower reports what it serves, in pieces, often enough, and at once what is new") {
  Cluster cluster;
  LeasesNode node(cluster, {10, 1'000, 1'000, 2});
  node.served = {"a", "b", "c"};
  node.follow(10, {7});
  REQUIRE(node.reports.size() == 2);
  CHECK(node.reports[0] == std::pair(raft::NodeId{7}, Names{"a", "b"}));
  CHECK(node.reports[1] == std::pair(raft::NodeId{7}, Names{"c"}));
  node.reports.clear();
  node.follow(1'000, {7});
  CHECK(node.reports.size() >= 6);  // at least three times a lease
  CHECK(node.reports.size() <= 10);
  node.reports.clear();
  node.leases.opened("d");
  node.follow(10, {7});
  REQUIRE(node.reports.size() == 1);
  CHECK(node.reports[0].second == Names{"d"});
  node.reports.clear();
  node.leases.opened("e");
  node.follow(100, {0});
  CHECK(node.reports.empty());
  node.follow(10, {8});  // a new leader is told of all sessions at once
  REQUIRE(node.reports.size() == 2);
  CHECK(node.reports[0].first == raft::NodeId{8});
}

TEST_CASE("a node that does not lead ignores reports") {
  Cluster cluster;
  LeasesNode node(cluster);
  node.follow(100);
  node.leases.on_served({"one"});
  CHECK(node.leases.size() == 0);
}

TEST_CASE("answers that come after the end of Leases are ignored") {
  Cluster cluster;
  cluster.subscribe("one", "s");
  {
    LeasesNode node(cluster);
    node.leases.tick({1}, {1}, true);  // reads from the store
  }
  cluster.store->settle();
}

}  // namespace
}  // namespace iris::testing
