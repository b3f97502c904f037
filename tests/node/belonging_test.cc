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
  const Status status = cluster.node(1).greet({{1}, cluster.node(1).cluster(), "copy:1"});
  REQUIRE_FALSE(status);
  CHECK(status.error().code == Errc::refused);
}

TEST_CASE("being probed makes nobody a member; being sent Raft messages does, durably (51, 56)") {
  Cluster cluster;
  cluster.form(1);
  cluster.add(2);
  const raft::ClusterId id = cluster.node(1).cluster();
  REQUIRE(cluster.node(2).greet({{1}, id, "host-1:1"}));
  cluster.settle();
  CHECK_FALSE(cluster.node(2).initialized());
  cluster.at(2).hold_log = true;
  const raft::Message heartbeat{{1}, {2}, {5}, raft::Heartbeat{}};
  cluster.node(2).receive({{1}, heartbeat});
  CHECK(cluster.node(2).initialized());
  cluster.settle();
  CHECK(cluster.node(2).cluster().value == 0);  // not on disk yet
  cluster.node(2).receive({{1}, heartbeat});
  CHECK(cluster.node(2).core().term().value == 0);  // so it takes no part
  cluster.at(2).hold_log = false;
  cluster.settle();
  CHECK(cluster.node(2).cluster() == id);
  cluster.crash(2);
  cluster.restart(2);
  CHECK(cluster.node(2).initialized());
  CHECK(cluster.node(2).cluster() == id);
}

template <class Body>
const Body* raft_body(const Packet& packet) {
  const auto* message = std::get_if<raft::Message>(&packet.body);
  return message != nullptr ? std::get_if<Body>(&message->body) : nullptr;
}

// Node 1 leads, is cut off from the other voters, and admits node 4: in vain.
struct AdmittedInVain {
  Cluster cluster;
  std::size_t dismissals = 0;

  explicit AdmittedInVain(bool with_its_entry, NodeOptions options = Cluster::small())
      : cluster(std::move(options)) {
    cluster.form(3);
    cluster.add(4);
    cluster.isolate(1);
    cluster.heal();
    for (std::uint64_t id : {2, 3}) {
      cluster.cut(1, id);
      cluster.cut(id, 1);
    }
    const raft::Index last = cluster.node(1).core().status().last;
    cluster.keep = [=](const Packet& packet) {
      const auto* append = raft_body<raft::AppendRequest>(packet);
      return !with_its_entry && append != nullptr && !append->entries.empty() &&
             append->entries.back()->id.index > last;
    };
    AdminRequest join;
    join.kind = AdminRequest::Kind::join;
    join.address = "host-4:1";
    cluster.admin(1, join, 100);  // over before node 1 knows of the next leader
    const raft::Index wanted = with_its_entry ? last.next() : last;
    REQUIRE(cluster.until([&] { return cluster.node(4).core().status().stable == wanted; }, 10));
    CHECK_FALSE(cluster.node(4).admitted());
    cluster.kept.clear();
    cluster.keep = [this](const Packet& packet) {
      dismissals += packet.to.value == 4 && raft_body<raft::Dismissed>(packet) != nullptr;
      return false;
    };
    REQUIRE(cluster.until([&] { return cluster.leader() > 1; }));
    cluster.heal();
  }
};

TEST_CASE(
    "a newcomer whose admission was lost with its leader stays, and may join again (52, 54)") {
  const bool with_its_entry = GENERATE(true, false);
  const bool restarted = GENERATE(true, false);
  NodeOptions options = Cluster::small();
  if (!with_its_entry) options.raft.append_bytes_max = 1;
  AdmittedInVain lost(with_its_entry, options);
  Cluster& cluster = lost.cluster;
  if (restarted) {
    cluster.crash(4);
    cluster.restart(4);
  }
  cluster.tick(100);
  CHECK(lost.dismissals > 0);
  CHECK_FALSE(cluster.at(4).halted.has_value());
  CHECK_FALSE(cluster.node(4).admitted());
  CHECK(cluster.node(4).initialized());
  const AdminAnswer joined = cluster.join(cluster.leader(), "host-4:1");
  REQUIRE(cluster.until([&] { return joined->ok() && cluster.is_voter(4, 4); }));
  CHECK(cluster.node(4).admitted());
  // From now on it can be removed.
  const AdminAnswer removed = cluster.remove(cluster.leader(), 4);
  REQUIRE(cluster.until([&] { return removed->ok() && cluster.at(4).halted.has_value(); }));
  CHECK(cluster.at(4).halted->clean);
}

TEST_CASE("a node is admitted once its entry is committed, not before (52)") {
  Cluster cluster;
  cluster.form(1);
  CHECK(cluster.node(1).admitted());
  cluster.add(2);
  CHECK_FALSE(cluster.node(2).admitted());
  cluster.at(1).hold_log = true;
  const AdminAnswer joined = cluster.join(1, "host-2:1");
  const auto is_learner = [&] { return !cluster.node(2).core().members().learners.empty(); };
  REQUIRE(cluster.until(is_learner));
  CHECK_FALSE(cluster.node(2).admitted());
  cluster.at(1).hold_log = false;
  REQUIRE(cluster.until([&] { return joined->ok() && cluster.node(2).admitted(); }));
}

TEST_CASE("a removed node stays removed, whatever its folder has forgotten (54)") {
  Cluster cluster;
  cluster.form(3);
  const auto is_told = [&] { return cluster.at(3).halted.has_value(); };
  SECTION("what it had applied") {
    cluster.at(3).hold_data = true;
    cluster.remove(1, 3);
    REQUIRE(cluster.until([&] { return cluster.node(3).core().members().voters.size() == 2; }));
  }
  SECTION("that it was a member, by a snapshot") {
    cluster.keep = [](const Packet& packet) { return packet.to.value == 3; };
    const AdminAnswer removed = cluster.remove(1, 3);
    REQUIRE(cluster.until([&] { return removed->ok(); }, 5));
    auto source = cluster.at(1).store->pin();
    SnapshotChunk chunk;
    chunk.transfer = 7;
    chunk.mark = source->mark();
    chunk.last = true;
    source->read(1u << 20, [&](Result<std::string> bytes) { chunk.bytes = std::move(*bytes); });
    cluster.settle();
    // It heard of more that is committed, so it does not stop there.
    const raft::Index later{chunk.mark.last.index.value + 5};
    const raft::Term term = cluster.node(1).core().term();
    cluster.node(3).receive(
        {{1}, raft::Message{{1}, {3}, term, raft::AppendRequest{{term, later}, later, {}}}});
    cluster.node(3).receive({{1}, chunk});
    cluster.settle();
    REQUIRE(cluster.at(3).installed.size() == 1);
    cluster.keep = nullptr;
  }
  cluster.crash(3);
  cluster.restart(3);
  CHECK_FALSE(cluster.node(3).core().status().was_member);
  CHECK(cluster.node(3).admitted());
  REQUIRE(cluster.until(is_told));
  CHECK(cluster.at(3).halted->clean);
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
  const raft::ClusterId id = cluster.node(1).cluster();
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
