// What a node administers by itself: promotions of learners, announcements of addresses.
#include "tests/node/cluster.h"

#include "tests/catch.h"  // last: its CHECK must not stand in for raft/check.h's

namespace iris::test {
namespace {

using Kind = AdminRequest::Kind;

TEST_CASE("a learner that is not caught up is not promoted until it is (52)") {
  Cluster cluster;
  cluster.form(1);
  cluster.add(2).hold_log = true;
  const AdminAnswer joined = cluster.join(1, "host-2:1");
  REQUIRE(cluster.until([&] { return joined->ok(); }));
  cluster.tick(200);
  CHECK(cluster.voters(1) == 1);
  const AdminAnswer forced = cluster.admin(1, Kind::promote, 2);
  REQUIRE(cluster.until([&] { return !forced->pending(); }));
  CHECK(forced->failed(Errc::refused));
  cluster.at(2).hold_log = false;
  CHECK(cluster.until([&] { return cluster.is_voter(1, 2); }));
}

TEST_CASE("a new leader promotes the learner that its predecessor admitted (52)") {
  Cluster cluster;
  cluster.form(3);
  cluster.add(4).hold_log = true;
  const AdminAnswer joined = cluster.join(1, "host-4:1");
  REQUIRE(cluster.until([&] { return joined->ok(); }));
  cluster.tick(20);
  REQUIRE(cluster.voters(1) == 3);
  cluster.crash(1);
  cluster.at(4).hold_log = false;
  REQUIRE(cluster.until([&] { return cluster.leader() > 1; }));
  const std::uint64_t leader = cluster.leader();
  CHECK(cluster.until([&] { return cluster.is_voter(leader, 4); }));
}

TEST_CASE("a moved node that knows no leader is announced by the members it knows (58)") {
  Cluster cluster;
  cluster.form(3);
  cluster.crash(3);
  for (std::uint64_t id : {4, 5}) {
    cluster.add(id);
    const AdminAnswer joined = cluster.join(1, "host-" + std::to_string(id) + ":1");
    REQUIRE(cluster.until([&] { return joined->ok() && cluster.is_voter(1, id); }));
  }
  const AdminAnswer moved = cluster.transfer(1, 5);
  REQUIRE(cluster.until([&] { return moved->ok() && cluster.leader() == 5; }));
  // In its log the members are 1, 2 and 3.
  cluster.restart(3, "elsewhere:9");
  CHECK(cluster.until([&] {
    const std::vector<raft::Member>& voters = cluster.node(3).core().members().voters;
    return voters.size() == 5 && voters.at(2).address == "elsewhere:9";
  }));
}

TEST_CASE("a lone node that comes back under another address changes its own entry (58)") {
  Cluster cluster;
  cluster.form(1);
  cluster.crash(1);
  cluster.restart(1, "elsewhere:9");
  CHECK(cluster.until(
      [&] { return cluster.node(1).core().members().voters.front().address == "elsewhere:9"; }));
}

}  // namespace
}  // namespace iris::test
