// Feature levels: raised by the log once all members know one, and what a node does that does not
// know the level, the entry or the snapshot that reaches it.
#include "raft/members.h"
#include "tests/node/behind.h"

#include "tests/catch.h"  // last: its CHECK must not stand in for raft/check.h's

namespace iris::test {
namespace {

constexpr raft::Level present = feature_level;
constexpr raft::Level newer{feature_level.value + 1};

bool all_at(Cluster& cluster, raft::Level level) {
  for (std::uint64_t id = 1; id <= 3; ++id) {
    if (!cluster.runs(id) || cluster.node(id).cluster_level() != level) return false;
  }
  return true;
}

void put_build(Cluster& cluster, std::uint64_t id, raft::Level level) {
  cluster.crash(id);
  cluster.set_level(id, level);
  cluster.restart(id);
}

// The nodes of these ids begin as the newer build.
void begin_newer(Cluster& cluster, std::uint64_t count) {
  for (std::uint64_t id = 1; id <= count; ++id) cluster.set_level(id, newer);
  cluster.form(count);
}

// Three nodes of the newer build, led by node 2. Node 3 has said so, and was cut off before the
// entry that raised the level reached it.
struct Raised {
  Cluster cluster;

  explicit Raised(NodeOptions options = Cluster::small()) : cluster(std::move(options)) {
    cluster.form(3);
    put_build(cluster, 2, newer);
    put_build(cluster, 3, newer);
    cluster.tick(30);
    const AdminAnswer moved = cluster.transfer(1, 2);
    REQUIRE(cluster.until([&] { return moved->ok() && cluster.leader() == 2; }));
    cluster.tick(30);
    REQUIRE(cluster.node(2).members_level() == present);
    cluster.isolate(3);
    put_build(cluster, 1, newer);
    REQUIRE(cluster.until([&] { return cluster.node(2).cluster_level() == newer; }));
    REQUIRE(cluster.node(3).cluster_level() == present);
  }
  // So node 3 needs a snapshot. REQUIRES: the options of tiny().
  void trim_beyond_node_3() {
    for (int i = 0; i < 60; ++i) {
      const WriteAnswer wrote = cluster.set(2, "key-" + std::to_string(i), "value");
      REQUIRE(cluster.until([&] { return wrote->ok(); }));
    }
    cluster.tick(5);
    REQUIRE(cluster.node(2).floor() > cluster.node(3).core().status().last);
  }
  // Node 3 comes back as the present build, and nobody looks at who dials.
  void bring_back_older() {
    put_build(cluster, 3, present);
    cluster.heal();
    cluster.greets = false;
  }
  void require_ended_by_level() {
    REQUIRE(cluster.until([&] { return cluster.at(3).halted.has_value(); }));
    CHECK_FALSE(cluster.at(3).halted->clean);
    CHECK(cluster.at(3).halted->why.code == Errc::unimplemented);
    CHECK(cluster.at(3).halted->why.text ==
          "the cluster is at feature level " + std::to_string(newer.value) +
              ", and this build knows feature levels up to " + std::to_string(present.value) +
              ": run the newer version of Iris here");
    CHECK(cluster.node(3).cluster_level() <= present);
    CHECK(cluster.disk(3).data().members.level <= present);
  }
};

TEST_CASE("a new cluster begins at the level of its founder") {
  Cluster cluster;
  begin_newer(cluster, 1);
  CHECK(cluster.node(1).cluster_level() == newer);
  CHECK(cluster.node(1).core().level_at({1}) == newer);
  CHECK(cluster.node(1).level() == newer);
}

TEST_CASE("in a rolling upgrade the level rises with the last member, and stays (118)") {
  Cluster cluster;
  cluster.form(3);
  for (const std::uint64_t id : {3, 1}) {
    put_build(cluster, id, newer);
    cluster.tick(100);
    const WriteAnswer wrote = cluster.set(2, "during", std::to_string(id));
    REQUIRE(cluster.until([&] { return wrote->ok(); }));
    CHECK(all_at(cluster, present));
  }
  put_build(cluster, 2, newer);
  REQUIRE(cluster.until([&] { return all_at(cluster, newer); }));
  for (std::uint64_t id = 1; id <= 3; ++id) put_build(cluster, id, newer);
  REQUIRE(cluster.until([&] { return cluster.leader() != 0 && all_at(cluster, newer); }));
}

TEST_CASE("rolling back works while the level is not raised (118)") {
  Cluster cluster;
  cluster.form(3);
  for (const std::uint64_t id : {1, 2}) put_build(cluster, id, newer);
  cluster.tick(100);
  for (const std::uint64_t id : {1, 2}) put_build(cluster, id, present);
  const WriteAnswer wrote = cluster.set(3, "back", "again");
  REQUIRE(cluster.until([&] { return wrote->ok(); }));
  CHECK(cluster.until([&] { return cluster.value(1, "back") == "again"; }));
  CHECK(all_at(cluster, present));
}

TEST_CASE("a member that is away holds the level back, a removed one does not (118)") {
  Cluster cluster;
  cluster.form(3);
  for (const std::uint64_t id : {1, 2}) put_build(cluster, id, newer);
  SECTION("a voter") { cluster.crash(3); }
  SECTION("a voter whose connection is down") {
    cluster.tick(50);
    for (const std::uint64_t id : {1, 2}) cluster.at(id).transport->broken.insert({3});
    put_build(cluster, 3, newer);
  }
  cluster.tick(300);
  const std::uint64_t leader = cluster.wait_for_leader();
  CHECK_FALSE(cluster.node(leader).members_level().has_value());
  CHECK(cluster.node(leader).cluster_level() == present);
  const AdminAnswer removed = cluster.remove(leader, 3);
  REQUIRE(cluster.until([&] { return removed->ok(); }));
  CHECK(cluster.until([&] { return cluster.node(leader).cluster_level() == newer; }));
}

TEST_CASE("a learner of the present build holds the level back (118)") {
  Cluster cluster;
  cluster.form(2);
  cluster.add(3).hold_log = true;  // never caught up, so never a voter
  const AdminAnswer joined = cluster.join(1, "host-3:1");
  REQUIRE(cluster.until([&] { return joined->ok(); }));
  for (const std::uint64_t id : {1, 2}) put_build(cluster, id, newer);
  cluster.tick(300);
  const std::uint64_t leader = cluster.wait_for_leader();
  CHECK(cluster.node(leader).members_level() == present);
  CHECK(cluster.node(leader).cluster_level() == present);
  put_build(cluster, 3, newer);
  CHECK(cluster.until([&] { return cluster.node(leader).cluster_level() == newer; }));
}

TEST_CASE("a node below the cluster's level may not join, and is told why (118)") {
  Cluster cluster;
  begin_newer(cluster, 2);
  cluster.add(3);
  cluster.greet_probes = false;  // as the peers do, which let every probe in
  const AdminAnswer joined = cluster.join(GENERATE(1, 2), "host-3:1");
  REQUIRE(cluster.until([&] { return !joined->pending(); }));
  CHECK(joined->failed(Errc::refused));
  CHECK(joined->text() == "the node at host-3:1 knows feature levels up to " +
                              std::to_string(present.value) + ", and this cluster is at level " +
                              std::to_string(newer.value) +
                              ": run the newer version of Iris there");
  CHECK_FALSE(raft::is_member(cluster.node(1).core().members(), {3}));
}

TEST_CASE("a node above the cluster's level joins, and works at that level (118)") {
  Cluster cluster;
  cluster.form(2);
  cluster.set_level(3, newer);
  cluster.add(3);
  const AdminAnswer joined = cluster.join(1, "host-3:1");
  REQUIRE(cluster.until([&] { return joined->ok() && cluster.is_voter(1, 3); }));
  cluster.tick(100);
  CHECK(all_at(cluster, present));
}

TEST_CASE("a node that is older than the level is refused by the others, and told (118)") {
  Raised raised;
  Cluster& cluster = raised.cluster;
  put_build(cluster, 3, present);
  cluster.heal();
  cluster.tick(300);
  CHECK_FALSE(cluster.at(3).halted);
  CHECK(cluster.node(3).core().members().level == present);
  PeerIdentity older = cluster.node(3).identity();
  const PeerIdentity of_cluster = cluster.node(2).identity();
  const std::string sentence =
      "node 0000000000000003 at host-3:1 knows feature levels up to " +
      std::to_string(present.value) +
      ", and the cluster of node 0000000000000002 at host-2:1 is at level " +
      std::to_string(newer.value) + ": run the newer version of Iris there";
  CHECK(cluster.node(2).greet(older).error().text == sentence);
  CHECK(cluster.node(3).greet(of_cluster).error().text == sentence);
  const WriteAnswer wrote = cluster.set(1, "without", "it");
  CHECK(cluster.until([&] { return wrote->ok(); }));
}

TEST_CASE("an entry of a newer level ends an older node before it is applied (118)") {
  Raised raised;
  raised.bring_back_older();
  raised.require_ended_by_level();
  CHECK(raised.cluster.at(3).installed.empty());
}

TEST_CASE("a snapshot of a newer level ends an older node before it is installed (118)") {
  Raised raised(tiny());
  raised.trim_beyond_node_3();
  raised.bring_back_older();
  raised.require_ended_by_level();
  CHECK(raised.cluster.at(3).installed.empty());
}

TEST_CASE("the snapshot of a raised cluster carries the level to a newer node") {
  Raised raised(tiny());
  raised.trim_beyond_node_3();
  raised.cluster.heal();
  REQUIRE(raised.cluster.until([&] { return raised.cluster.value(3, "key-59") == "value"; }));
  CHECK(raised.cluster.at(3).installed.size() == 1);
  CHECK(raised.cluster.node(3).cluster_level() == newer);
  CHECK(raised.cluster.disk(3).data().members.level == newer);
}

TEST_CASE("the folder of a raised cluster ends an older node at its start (105, 118)") {
  Cluster cluster(tiny());
  begin_newer(cluster, 3);
  cluster.write(60);  // the log is trimmed, so the data is on disk
  cluster.tick(100);
  put_build(cluster, 3, present);
  REQUIRE(cluster.at(3).halted.has_value());
  CHECK(cluster.at(3).halted->why.code == Errc::unimplemented);
  CHECK(cluster.at(3).halted->why.text.find("run the newer version") != std::string::npos);
  put_build(cluster, 3, newer);
  const WriteAnswer wrote = cluster.set(3, "back", "again");
  CHECK(cluster.until([&] { return wrote->ok(); }));
}

// An entry whose leader is a build that nobody has foreseen: it never asked for a level.
TEST_CASE("a committed command of an unknown kind or version ends the node (81, 118)") {
  Cluster cluster;
  cluster.form(3);
  cluster.tick(30);
  const std::string command = GENERATE(std::string("\x02\x01rest", 6),   // of a version
                                       std::string("\x01\x63rest", 6),   // of a kind
                                       std::string("\xff\x01rest", 6));  // of tests
  const raft::CoreStatus before = cluster.node(3).core().status();
  const raft::EntryId prev = cluster.node(3).core().entry(before.last)->id;
  const raft::EntryId next{before.term, before.last.next()};
  raft::AppendRequest request{prev, next.index, {}};
  request.entries.push_back(
      std::make_shared<const raft::Entry>(raft::Entry{next, raft::Command(command)}));
  cluster.isolate(3);
  cluster.node(3).receive({before.leader, raft::Message{before.leader, {3}, before.term, request}});
  cluster.settle();
  REQUIRE(cluster.at(3).halted.has_value());
  CHECK(cluster.at(3).halted->why.code == Errc::unimplemented);
  CHECK(cluster.at(3).halted->why.text.find("entry " + std::to_string(next.index.value)) == 0);
  CHECK(cluster.node(3).applied() == before.last);
}

TEST_CASE("a forwarded command of a level that is not reached is not proposed (81, 118)") {
  Cluster cluster;
  cluster.form(2);
  cluster.tick(30);
  const raft::Index last = cluster.node(1).core().last_index();
  const Operation operation = SetValue{"s", "k", "v", std::nullopt};
  for (const std::string& command :
       {encode(operation, newer), std::string("\x09\x01"), std::string("\x01\x63")}) {
    cluster.node(1).receive({{2}, ForwardRequest{7, command}});
    cluster.settle();
    CHECK(cluster.node(1).core().last_index() == last);
  }
  cluster.node(1).receive({{2}, ForwardRequest{8, encode(operation, present)}});
  CHECK(cluster.node(1).core().last_index() == last.next());
}

// The version is that of the level in force, so that members of both builds read it.
TEST_CASE("commands are written for the level of the cluster, not for that of the build (118)") {
  Cluster cluster;
  cluster.form(3);
  for (const std::uint64_t id : {1, 2}) put_build(cluster, id, newer);
  const WriteAnswer before = cluster.set(1, "k", "before");
  REQUIRE(cluster.until([&] { return before->ok(); }));
  const auto version_of_last = [&] {
    const raft::EntryPtr& entry = cluster.at(1).applied.back().first;
    return static_cast<unsigned char>(std::get<raft::Command>(entry->payload).front());
  };
  CHECK(version_of_last() == 1);
  put_build(cluster, 3, newer);
  REQUIRE(cluster.until([&] { return all_at(cluster, newer); }));
  const WriteAnswer after = cluster.set(1, "k", "after");
  REQUIRE(cluster.until([&] { return after->ok(); }));
  CHECK(version_of_last() == 255);
}

}  // namespace
}  // namespace iris::test
