// Contacts: which cluster a node belongs to, and which nodes it talks to, at which address.
#include <set>

#include "tests/node/behind.h"

#include "tests/catch.h"  // last: its CHECK must not stand in for raft/check.h's

namespace iris::test {
namespace {

// Node 1 leads, is cut off from the other voters, and admits node 4, which no later leader will
// know.
struct LostAdmission {
  Cluster cluster;
  std::size_t dismissals = 0;  // messages to node 4 that it is not a member

  explicit LostAdmission(bool with_its_entry, NodeOptions options = Cluster::small())
      : cluster(std::move(options)) {
    cluster.form(3);
    cluster.add(4);
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
    cluster.join(1, "host-4:1", 100);  // over before node 1 knows of the next leader
    const raft::Index wanted = with_its_entry ? last.next() : last;
    REQUIRE(cluster.until([&] { return cluster.node(4).core().status().stable == wanted; }, 10));
    CHECK_FALSE(cluster.node(4).admitted());
    cluster.kept.clear();
    cluster.keep = [this](const Packet& packet) {
      dismissals += packet.to.value == 4 && raft_body<raft::RemovalNotice>(packet) != nullptr;
      return false;
    };
    REQUIRE(cluster.until([&] { return cluster.leader() > 1; }));
    cluster.heal();
  }
};

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
  cluster.greet_probes = GENERATE(true, false);  // the probed side notices it, or the other
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

TEST_CASE("a probe makes no node a member; a Raft message does, durably (51, 56)") {
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

TEST_CASE(
    "a newcomer whose admission was lost with its leader stays, and may join again (52, 54)") {
  const bool with_its_entry = GENERATE(true, false);
  const bool restarted = GENERATE(true, false);
  NodeOptions options = Cluster::small();
  if (!with_its_entry) options.raft.append_bytes_max = 1;
  LostAdmission lost(with_its_entry, options);
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
  // An admitted node can be removed.
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
    const SnapshotChunk chunk = whole_snapshot(cluster, 1);
    // Node 3 has heard of later committed entries, so it does not stop at the snapshot.
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

TEST_CASE("Raft messages from a node that never introduced itself are ignored (51)") {
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

TEST_CASE("the transport knows the members, and a removed one for a while (54, 114)") {
  Cluster cluster;
  cluster.form(3);
  cluster.tick(300);  // introductions of the beginning are forgotten
  const FakeTransport& transport = *cluster.at(1).transport;
  CHECK(transport.peers().size() == 2);
  CHECK_FALSE(transport.knows({1}));
  const AdminAnswer removed = cluster.remove(1, 3);
  REQUIRE(cluster.until([&] { return removed->ok(); }));
  CHECK(transport.knows({3}));  // node 3 must hear of its removal
  cluster.tick(400);
  CHECK_FALSE(transport.knows({3}));
}

TEST_CASE("introductions of strangers are remembered in bounds (110)") {
  Cluster cluster;
  cluster.form(1);
  const raft::ClusterId id = cluster.node(1).cluster();
  for (std::uint64_t stranger = 100; stranger < 1000; ++stranger) {
    REQUIRE(cluster.node(1).greet(
        {{stranger}, id, "s-" + std::to_string(stranger) + ":1", feature_level}));
    cluster.tick();
  }
  CHECK(cluster.at(1).transport->peers().size() <= 64);
  cluster.tick(400);
  CHECK(cluster.at(1).transport->peers().empty());
}

TEST_CASE("a node removed while it was away is told when it comes back (54)") {
  Cluster cluster;
  cluster.form(3);
  cluster.crash(3);
  const AdminAnswer removed = cluster.remove(1, 3);
  REQUIRE(cluster.until([&] { return removed->ok(); }));
  cluster.tick(1000);  // long enough to be forgotten by the transports
  REQUIRE_FALSE(cluster.at(1).transport->knows({3}));
  cluster.restart(3);
  REQUIRE(cluster.until([&] { return cluster.at(3).halted.has_value(); }));
  CHECK(cluster.at(3).halted->clean);
  CHECK(cluster.leader() == 1);
}

// A fault that was (iris-sim --seed 1300): a node at the address of a dead member got no answers.
TEST_CASE("a removed node is told even at the address of a dead member (54, 58)") {
  Cluster cluster;
  cluster.form(3);
  cluster.crash(2);
  cluster.forget(2);
  cluster.add(12, "host-2:1");
  const AdminAnswer joined = cluster.join(1, "host-2:1");
  const auto knows_itself_a_learner = [&] {
    return cluster.node(12).admitted() && !cluster.node(12).core().members().learners.empty();
  };
  REQUIRE(cluster.until(knows_itself_a_learner));
  cluster.isolate(12);
  const AdminAnswer removed = cluster.remove(1, 12);
  REQUIRE(cluster.until([&] { return removed->ok(); }));
  REQUIRE(cluster.is_voter(1, 2));
  cluster.tick(1000);  // long enough to be forgotten by the transports
  cluster.heal();
  REQUIRE(cluster.until([&] { return cluster.at(12).halted.has_value(); }));
  CHECK(cluster.at(12).halted->clean);
}

TEST_CASE("a node that comes back under another address is found there (58)") {
  Cluster cluster;
  cluster.form(3);
  cluster.crash(3);
  cluster.tick(20);
  cluster.restart(3, "elsewhere:9");
  REQUIRE(cluster.until([&] {
    const raft::Members& members = cluster.node(1).core().members();
    return members.voters.back().address == "elsewhere:9";
  }));
  const WriteAnswer wrote = cluster.set(3, "k", "v");
  REQUIRE(cluster.until([&] { return wrote->ok() && cluster.value(3, "k") == "v"; }));
  for (std::uint64_t id : {1, 2}) {
    for (const raft::Member& peer : cluster.at(id).transport->peers()) {
      if (peer.id.value == 3) CHECK(peer.address == "elsewhere:9");
    }
  }
}

TEST_CASE("a moved node is found although the entry with its address is overwritten (46, 58)") {
  Cluster cluster;
  cluster.form(5);
  const auto address_of_3 = [&] {
    for (const raft::Member& peer : cluster.at(2).transport->peers()) {
      if (peer.id.value == 3) return peer.address;
    }
    return std::string("nowhere");
  };
  const auto agreed_by_2 = [&] {
    return cluster.node(2).core().members().voters.at(2).address == "elsewhere:9";
  };
  cluster.crash(3);
  cluster.tick(20);
  // Only node 2 gets the entry with the new address.
  cluster.keep = [](const Packet& packet) {
    const auto* append = raft_body<raft::AppendRequest>(packet);
    return append != nullptr && !append->entries.empty() && packet.to.value > 2;
  };
  const bool says_it_first = GENERATE(true, false);
  const auto greet = [&] {
    REQUIRE(cluster.node(2).greet({{3}, cluster.node(2).cluster(), "elsewhere:9", feature_level}));
  };
  cluster.restart(3, "elsewhere:9");
  if (says_it_first) greet();
  REQUIRE(cluster.until(agreed_by_2));
  if (!says_it_first) greet();
  cluster.crash(1);
  for (std::uint64_t id : {3, 4, 5}) cluster.cut(2, id);
  cluster.kept.clear();
  cluster.keep = nullptr;
  REQUIRE(cluster.until([&] { return cluster.leader() > 2 && !agreed_by_2(); }));
  CHECK(address_of_3() == "elsewhere:9");
  cluster.heal();
  REQUIRE(cluster.until(agreed_by_2));
  const WriteAnswer wrote = cluster.set(2, "k", "v");
  CHECK(cluster.until([&] { return wrote->ok() && cluster.value(2, "k") == "v"; }));
}

TEST_CASE("a silent member is dialled at the address it gave and at the agreed one (58)") {
  Cluster cluster;
  cluster.form(3);
  REQUIRE(cluster.leader() == 1);
  cluster.cut(3, 2);
  REQUIRE(cluster.node(2).greet({{3}, cluster.node(2).cluster(), "elsewhere:9", feature_level}));
  std::set<std::string> looked;
  for (int i = 0; i < 100; ++i) {
    cluster.tick();
    for (const raft::Member& peer : cluster.at(2).transport->peers()) {
      if (peer.id.value == 3) looked.insert(peer.address);
    }
  }
  CHECK(looked == std::set<std::string>{"elsewhere:9", "host-3:1"});
}

TEST_CASE("a voter that comes back to the place of a learner that is dead is answered (50, 58)") {
  Cluster cluster;
  cluster.form(3);
  cluster.crash(3);
  cluster.forget(3);
  cluster.add(13, "host-3:1").hold_log = true;
  const AdminAnswer joined = cluster.join(1, "host-3:1");
  REQUIRE(cluster.until([&] { return joined->ok(); }));
  REQUIRE_FALSE(cluster.at(1).transport->knows({3}));
  cluster.crash(13);
  cluster.forget(13);
  cluster.restart(3, "host-3:1");  // its folder was found again
  CHECK(cluster.until([&] { return cluster.node(3).core().leader().value == 1; }));
  CHECK(cluster.at(1).transport->knows({3}));
  const WriteAnswer wrote = cluster.set(3, "k", "v");
  CHECK(cluster.until([&] { return wrote->ok() && cluster.value(3, "k") == "v"; }));
  // The same the other way round: the node that introduced itself last is at the address.
  cluster.crash(3);
  cluster.forget(3);
  cluster.restart(13, "host-3:1");
  CHECK(cluster.until([&] { return cluster.is_voter(1, 13); }));
  CHECK_FALSE(cluster.is_voter(1, 3));
}

}  // namespace
}  // namespace iris::test
