// Three cores and a wire that loses nothing: the everyday paths.
#include "tests/raft/cluster.h"

#include "tests/catch.h"  // last: its CHECK must not stand in for raft/check.h's

namespace iris::raft::test {
namespace {

TEST_CASE("a lone voter elects itself and commits what it wrote (hazard 30)") {
  Cluster cluster(1);
  cluster.core(1).campaign();
  cluster.flush(1);
  REQUIRE(cluster.core(1).role() == Role::candidate);  // its vote is not on disk yet
  cluster.settle();
  REQUIRE(cluster.core(1).role() == Role::leader);
  const auto proposed = cluster.core(1).propose("a");
  REQUIRE(proposed.has_value());
  cluster.flush(1);
  CHECK(cluster.core(1).commit_index() < proposed->index);
  cluster.settle();
  CHECK(cluster.core(1).commit_index() == proposed->index);
  REQUIRE(cluster.core(1).read().has_value());
  cluster.settle();
  REQUIRE(cluster[1].reads.size() == 1);
  CHECK(cluster[1].reads[0].granted);
  CHECK(cluster[1].reads[0].index == proposed->index);
}

TEST_CASE("three nodes elect, replicate, commit and read") {
  Cluster cluster(3);
  cluster.elect(1);
  const EntryId id = cluster.propose(1, "a");
  for (std::uint64_t node : {1u, 2u, 3u}) {
    CHECK(cluster.core(node).commit_index() == id.index);
    CHECK(cluster.core(node).leader() == NodeId{1});
    CHECK(cluster[node].applied().back()->payload == Payload{Command{"a"}});
  }
  const auto read = cluster.core(1).read();
  REQUIRE(read.has_value());
  cluster.settle();
  REQUIRE(cluster[1].reads.size() == 1);
  CHECK(cluster[1].reads[0].granted);
  CHECK(cluster[1].reads[0].index == id.index);
}

TEST_CASE("a cluster grows from one to three, replaces a voter and loses its leader") {
  Cluster cluster;
  cluster.add(1);
  cluster.core(1).bootstrap(voters({1}));
  cluster.elect(1);
  for (std::uint64_t id : {2u, 3u, 4u}) {
    cluster.add(id);
    REQUIRE(cluster.core(1).change(AddLearner{member(id)}).has_value());
    cluster.settle();
    if (id == 4) break;
    REQUIRE(cluster.core(1).change(Promote{NodeId{id}, {}}).has_value());
    cluster.settle();
  }
  CHECK(cluster.core(3).members() == voters({1, 2, 3}, {4}));
  REQUIRE(cluster.core(1).change(Promote{NodeId{4}, NodeId{3}}).has_value());
  cluster.settle();
  CHECK(cluster.core(4).members() == voters({1, 2, 4}));
  CHECK(cluster[3].removed);
  REQUIRE(cluster.core(1).change(Remove{NodeId{1}}).has_value());
  cluster.settle();
  CHECK(cluster[1].removed);
  const std::uint64_t leader = cluster.leader();
  REQUIRE((leader == 2 || leader == 4));
  CHECK(cluster.core(leader).members() == voters({2, 4}));
  cluster.propose(leader, "b");
  CHECK(cluster.core(2).commit_index() == cluster.core(4).commit_index());
}

TEST_CASE("a follower behind the floor gets a snapshot and then the log") {
  Cluster cluster(3);
  cluster.elect(1);
  cluster[3].crash();
  for (int count = 0; count < 10; ++count) cluster.propose(1);
  cluster[1].trim(cluster.core(1).commit_index());
  cluster[3].restart();
  cluster.tick_all(6);
  REQUIRE(cluster[1].snapshots_wanted == std::vector<NodeId>{NodeId{3}});
  cluster.send_snapshots(1);
  const EntryId id = cluster.propose(1, "after");
  CHECK(cluster.core(3).commit_index() == id.index);
  CHECK(cluster[3].applied().back()->payload == Payload{Command{"after"}});
}

TEST_CASE("leadership is handed over and the clock alone elects") {
  Cluster cluster(3);
  cluster.tick_all(200);
  const std::uint64_t first = cluster.leader();
  REQUIRE(first != 0);
  const std::uint64_t target = first % 3 + 1;
  REQUIRE(cluster.core(first).transfer(NodeId{target}).has_value());
  cluster.settle();
  CHECK(cluster.leader() == target);
  CHECK(cluster.core(first).role() == Role::follower);
}

}  // namespace
}  // namespace iris::raft::test
