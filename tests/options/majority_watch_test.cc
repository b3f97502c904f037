// When a node says that it knows no leader, and what (src/server/majority_watch.h).
#include "src/server/majority_watch.h"

#include <set>

#include "tests/catch.h"
#include "tests/peers/harness.h"

namespace iris {
namespace {

struct Cluster {
  bool leader = false;
  raft::Members members{.voters = {{{1}, "a:1"}, {{2}, "b:1"}, {{3}, "c:1"}}};
  std::set<std::uint64_t> reached{1};

  MajorityWatch watch{{.tick_ms = 10,
                       .patience_ms = 100,
                       .start_patience_ms = 200,
                       .change_ms = 500,
                       .repeat_ms = 1'000},
                      {.has_leader = [this] { return leader; },
                       .members = [this] { return members; },
                       .reaches = [this](raft::NodeId id) { return reached.contains(id.value); }}};
  void pass(std::uint64_t time_ms) {
    for (std::uint64_t passed = 0; passed < time_ms; passed += 10) watch.tick();
  }
};

constexpr char without[] = "no leader: nothing can be written, and reads wait";
constexpr char again[] = "there is a leader again";

TEST_CASE(
    "a node without a leader says so within its patience, with what is missing, and its end") {
  const LogCapture log;
  Cluster cluster;
  cluster.leader = true;
  cluster.pass(1'000);
  REQUIRE(cluster.watch.status().empty());
  cluster.leader = false;
  cluster.pass(90);
  REQUIRE_FALSE(cluster.watch.missing());
  REQUIRE(log.text().empty());
  cluster.pass(10);
  REQUIRE(cluster.watch.missing());
  REQUIRE(log.count(without) == 1);
  REQUIRE(log.count(R"("voters":3,"needed":2,"reached":1,"no_connection_to":"b:1, c:1")") == 1);
  REQUIRE(log.count("start these nodes") == 1);
  REQUIRE(cluster.watch.status() ==
          "no leader: 1 of 3 voters reached, 2 needed; no connection to b:1, c:1");
  cluster.pass(990);
  REQUIRE(log.count(without) == 1);
  cluster.pass(10);
  REQUIRE(log.count(without) == 2);
  cluster.reached.insert(2);
  cluster.pass(490);
  REQUIRE(log.count(without) == 2);
  cluster.pass(10);
  REQUIRE(log.count(without) == 3);
  REQUIRE(log.count("enough voters are connected") == 1);
  cluster.leader = true;
  cluster.watch.tick();
  REQUIRE_FALSE(cluster.watch.missing());
  REQUIRE(log.count(again) == 1);
  cluster.pass(1'000);
  REQUIRE(log.count(again) == 1);
}

TEST_CASE("an election that is over in time is not worth a word") {
  const LogCapture log;
  Cluster cluster;
  for (int i = 0; i < 100; ++i) {
    cluster.leader = true;
    cluster.pass(10);
    cluster.leader = false;
    cluster.pass(90);
  }
  REQUIRE(log.text().empty());
}

TEST_CASE("a start has longer, and a node without a cluster misses nothing") {
  const LogCapture log;
  Cluster cluster;
  cluster.pass(190);
  REQUIRE_FALSE(cluster.watch.missing());
  cluster.pass(10);
  REQUIRE(cluster.watch.missing());
  Cluster alone;
  alone.members = {};
  alone.pass(10'000);
  REQUIRE_FALSE(alone.watch.missing());
  REQUIRE(log.count(without) == 1);
}

TEST_CASE("in a joint configuration the list that lacks more is told") {
  const LogCapture log;
  Cluster cluster;
  cluster.members.outgoing = {{{1}, "a:1"}, {{2}, "b:1"}, {{3}, "c:1"}, {{4}, "d:1"}, {{5}, "e:1"}};
  cluster.reached = {1, 2};
  cluster.pass(200);
  REQUIRE(cluster.watch.status() ==
          "no leader: 2 of 5 voters reached, 3 needed; no connection to c:1, d:1, e:1");
}

}  // namespace
}  // namespace iris
