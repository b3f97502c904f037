// Belonging: which cluster a node is of, and whom it talks to.
#include "tests/node/cluster.h"

#include "tests/catch.h"  // last: its CHECK must not stand in for raft/check.h's

namespace iris::test {
namespace {

TEST_CASE("a node of one cluster refuses the other's, naming both sides (51)") {
  Cluster ours;
  ours.form(1);
  const raft::ClusterId foreign{0xabcdefu};
  const Status status = ours.node(1).greet({{77}, foreign, "other:1"});
  REQUIRE_FALSE(status);
  CHECK(status.error().code == Errc::refused);
  const std::string& text = status.error().text;
  CHECK(text.find("0000000000abcdef") != std::string::npos);
  CHECK(text.find("other:1") != std::string::npos);
  CHECK(text.find("host-1:1") != std::string::npos);
}

TEST_CASE("a node of another cluster is not admitted (51, 56)") {
  Cluster cluster;
  cluster.form(1);
  cluster.add(2);
  cluster.node(2).bootstrap();
  cluster.settle();
  cluster.greet_probes = GENERATE(true, false);  // whichever side notices
  const AdminAnswer joined = cluster.join(1, "host-2:1");
  REQUIRE(cluster.until([&] { return !joined->pending(); }));
  CHECK_FALSE(joined->ok());
  CHECK(joined->text().find("cluster") != std::string::npos);
  CHECK(cluster.node(1).core().members().learners.empty());
}

TEST_CASE("a copy of this node's folder is refused (102, 103)") {
  Cluster cluster;
  cluster.form(1);
  const Status status = cluster.node(1).greet({{1}, cluster.node(1).status().cluster, "copy:1"});
  REQUIRE_FALSE(status);
  CHECK(status.error().code == Errc::refused);
}

TEST_CASE("being probed makes nobody a member; being sent Raft messages does, durably (51, 56)") {
  Cluster cluster;
  cluster.form(1);
  cluster.add(2);
  const raft::ClusterId id = cluster.node(1).status().cluster;
  REQUIRE(cluster.node(2).greet({{1}, id, "host-1:1"}));
  cluster.settle();
  CHECK_FALSE(cluster.node(2).initialized());
  cluster.at(2).hold_log = true;
  const raft::Message heartbeat{{1}, {2}, {5}, raft::Heartbeat{}};
  cluster.node(2).receive({{1}, heartbeat});
  CHECK(cluster.node(2).initialized());
  cluster.settle();
  CHECK(cluster.node(2).status().cluster.value == 0);  // not on disk yet
  cluster.node(2).receive({{1}, heartbeat});
  CHECK(cluster.node(2).core().term().value == 0);  // so it takes no part
  cluster.at(2).hold_log = false;
  cluster.settle();
  CHECK(cluster.node(2).status().cluster == id);
  cluster.crash(2);
  cluster.restart(2);
  CHECK(cluster.node(2).initialized());
  CHECK(cluster.node(2).status().cluster == id);
}

TEST_CASE("Raft messages from somebody who never said who he is are nobody's (51)") {
  Cluster cluster;
  cluster.add(2);
  cluster.node(2).receive({{1}, raft::Message{{1}, {2}, {5}, raft::Heartbeat{}}});
  cluster.settle();
  CHECK_FALSE(cluster.node(2).initialized());
}

TEST_CASE("a message that names another sender than its connection is ignored (109)") {
  Cluster cluster;
  cluster.form(3);
  const raft::Term term = cluster.node(2).core().term();
  cluster.node(2).receive({{3}, raft::Message{{1}, {2}, {term.value + 5}, raft::Heartbeat{}}});
  CHECK(cluster.node(2).core().term() == term);
}

TEST_CASE("the transport knows the members, and forgets who left after a while (54, 114)") {
  Cluster cluster;
  cluster.form(3);
  cluster.tick(300);  // whatever they said of themselves at the beginning is old
  const FakeTransport& transport = *cluster.at(1).transport;
  CHECK(transport.peers().size() == 2);
  CHECK_FALSE(transport.knows({1}));
  const AdminAnswer removed = cluster.remove(1, 3);
  REQUIRE(cluster.until([&] { return removed->ok(); }));
  CHECK(transport.knows({3}));  // it must hear of it
  cluster.tick(400);
  CHECK_FALSE(transport.knows({3}));
}

TEST_CASE("what strangers say of themselves is remembered in bounds (110)") {
  Cluster cluster;
  cluster.form(1);
  const raft::ClusterId id = cluster.node(1).status().cluster;
  for (std::uint64_t stranger = 100; stranger < 1000; ++stranger) {
    REQUIRE(cluster.node(1).greet({{stranger}, id, "s-" + std::to_string(stranger) + ":1"}));
    cluster.tick();
  }
  CHECK(cluster.at(1).transport->peers().size() <= 64);
  cluster.tick(400);
  CHECK(cluster.at(1).transport->peers().empty());
}

TEST_CASE("sessions that a peer serves are told to whoever asked to hear of them") {
  Cluster cluster;
  cluster.form(1);
  // No hook is set: it is simply not told.
  cluster.node(1).receive({{2}, SessionsServed{{"A", "B"}}});
  cluster.settle();
  CHECK(cluster.leader() == 1);
}

}  // namespace
}  // namespace iris::test
