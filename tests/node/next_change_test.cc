// Changes that replace a voter: a newcomer at the address of a voter or of a learner.
#include "tests/node/cluster.h"

#include "tests/catch.h"  // last: its CHECK must not stand in for raft/check.h's

namespace iris::test {
namespace {

using Kind = AdminRequest::Kind;

TEST_CASE("a member with an emptied folder joins anew and replaces itself in one change (50)") {
  Cluster cluster;
  cluster.form(3);
  cluster.crash(3);
  cluster.forget(3);
  cluster.add(13, "host-3:1");  // the same address, another identity
  std::vector<raft::Members> seen;
  const AdminAnswer joined = cluster.join(2, "host-3:1");
  REQUIRE(cluster.until([&] {
    const raft::Members& members = cluster.node(1).core().members();
    if (seen.empty() || seen.back() != members) seen.push_back(members);
    // The address is not dialled for the sake of the former identity.
    if (!members.learners.empty()) CHECK_FALSE(cluster.at(1).transport->knows({3}));
    return joined->ok() && cluster.is_voter(1, 13);
  }));
  CHECK_FALSE(cluster.is_voter(1, 3));
  CHECK(cluster.voters(1) == 3);
  for (const raft::Members& members : seen) CHECK(members.voters.size() <= 3);
  const WriteAnswer wrote = cluster.set(13, "k", "v");
  CHECK(cluster.until([&] { return wrote->ok(); }));
}

TEST_CASE("a new leader still knows which voter the newcomer replaces (50, 46)") {
  Cluster cluster;
  cluster.form(4);
  cluster.crash(4);
  cluster.forget(4);
  cluster.add(14, "host-4:1").hold_log = true;
  const AdminAnswer joined = cluster.join(1, "host-4:1");
  REQUIRE(cluster.until([&] { return joined->ok(); }));
  const AdminAnswer moved = cluster.transfer(1, 2);
  REQUIRE(cluster.until([&] { return moved->ok() && cluster.leader() == 2; }));
  cluster.at(14).hold_log = false;
  REQUIRE(cluster.until([&] { return cluster.is_voter(2, 14); }));
  CHECK_FALSE(cluster.is_voter(2, 4));
  CHECK(cluster.voters(2) == 4);
}

TEST_CASE("a learner whose folder is emptied again is replaced before it ever voted (50)") {
  Cluster cluster;
  cluster.form(1);
  cluster.add(2).hold_log = true;
  const AdminAnswer first = cluster.join(1, "host-2:1");
  REQUIRE(cluster.until([&] { return first->ok(); }));
  cluster.crash(2);
  cluster.forget(2);
  cluster.add(12, "host-2:1");
  const AdminAnswer second = cluster.join(1, "host-2:1");
  REQUIRE(cluster.until([&] { return second->ok() && cluster.is_voter(1, 12); }));
  CHECK(cluster.node(1).core().members().learners.empty());
  CHECK(cluster.voters(1) == 2);
}

TEST_CASE("a newcomer at the former address of a living voter does not take its vote (50, 58)") {
  Cluster cluster;
  cluster.form(3);
  cluster.crash(3);
  cluster.tick(20);
  // Node 3 has moved. The members hear it, and have not agreed on its new address yet.
  cluster.keep = [](const Packet& packet) {
    const auto* request = std::get_if<AdminRequest>(&packet.body);
    return request != nullptr && request->kind == Kind::set_address;
  };
  cluster.restart(3, "elsewhere:9");
  cluster.tick(20);
  cluster.add(4, "host-3:1");
  const AdminAnswer joined = cluster.join(1, "host-3:1");
  REQUIRE(cluster.until([&] { return joined->ok(); }));
  cluster.tick(300);
  CHECK(cluster.is_voter(1, 3));
  CHECK_FALSE(cluster.is_voter(1, 4));
  const AdminAnswer promoted = cluster.admin(1, Kind::promote, 4, 100);
  REQUIRE(cluster.until([&] { return !promoted->pending(); }));
  CHECK(promoted->failed(Errc::unavailable));
  cluster.deliver_kept();
  CHECK(cluster.until([&] { return cluster.is_voter(1, 4); }));
  CHECK(cluster.voters(1) == 4);
}

}  // namespace
}  // namespace iris::test
