// What nodes tell each other about sessions.
#include "tests/listeners/leases_node.h"

#include "tests/catch.h"  // last: its CHECK must not stand in for raft/check.h's

namespace iris::testing {
namespace {

TEST_CASE("a report tells a new leader also what ended here within the last lease") {
  Cluster cluster;
  LeasesNode node(cluster);
  node.leases.opened("a");
  node.leases.opened("b");
  node.follow(100);
  node.leases.closed("a");
  node.follow(500);
  node.take_sent();
  node.follow(10, {3}, {2});
  auto sent = node.take_sent();
  REQUIRE(sent.size() == 1);
  CHECK(sent[0].first == raft::NodeId{3});
  CHECK(sent[0].second.sessions == Names{"b"});
  ServedChanges changes = *sent[0].second.changes;
  CHECK(changes.term == raft::Term{2});
  CHECK(changes.after == 0);
  CHECK(changes.up_to == 3);
  CHECK(changes.latest);
  REQUIRE(changes.ended.size() == 1);
  CHECK(changes.ended[0].session == "a");
  CHECK(changes.ended[0].silent_ms == 500);
  node.follow(600, {3}, {2});
  node.take_sent();
  node.follow(10, {2}, {3});
  changes = *node.take_sent()[0].second.changes;
  CHECK(changes.ended.empty());  // that lease is over
  CHECK(changes.up_to == 3);
}

TEST_CASE("a message carries no more bytes of names than it may, one session at least") {
  Cluster cluster;
  LeasesOptions options = small();
  options.piece.names_bytes_max = 4;
  LeasesNode node(cluster, options);
  for (const char* session : {"ab", "cd", "e", "longer", "f"}) node.leases.opened(session);
  node.follow(40);
  const auto sent = node.take_sent();
  REQUIRE(sent.size() == 4);
  CHECK(sent[0].second.sessions == Names{"ab", "cd"});
  CHECK_FALSE(sent[0].second.changes->latest);
  CHECK(sent[1].second.sessions == Names{"e"});
  CHECK(sent[2].second.sessions == Names{"longer"});
  CHECK(sent[3].second.sessions == Names{"f"});
  CHECK(sent[3].second.changes->latest);
}

TEST_CASE("a follower reports what it serves, then what changes, then that it is there") {
  Cluster cluster;
  LeasesNode node(cluster, small(2));
  for (const char* session : {"a", "b", "c"}) node.leases.opened(session);
  node.follow(20);
  auto sent = node.take_sent();
  REQUIRE(sent.size() == 2);
  CHECK(sent[0].first == raft::NodeId{2});
  CHECK(sent[0].second.sessions == Names{"a", "b"});
  CHECK(sent[1].second.sessions == Names{"c"});
  node.told({.term = {1}, .known = 3});
  node.follow(1'000);
  sent = node.take_sent();
  CHECK(sent.size() >= 14);
  CHECK(sent.size() <= 18);
  for (const auto& [to, report] : sent) CHECK(report.sessions.empty());
  node.leases.opened("d");
  node.leases.closed("a");
  node.follow(10);
  sent = node.take_sent();
  REQUIRE(sent.size() == 1);
  CHECK(sent[0].second.sessions == Names{"d"});
  CHECK(sent[0].second.changes->ended == std::vector<SilentSession>{{"a", 0}});
  node.leases.opened("e");
  node.follow(100, {0});
  CHECK(node.take_sent().empty());
  node.follow(30, {3}, {2});  // a new leader is told of all sessions at once
  sent = node.take_sent();
  REQUIRE(sent.size() == 3);
  CHECK(sent[0].first == raft::NodeId{3});
  CHECK(sent[0].second.sessions == Names{"b", "c"});
}

TEST_CASE("a difference that was lost is asked for, and told again") {
  Cluster cluster;
  LeasesNode node(cluster);
  node.follow(10);
  node.told({.term = {1}});
  node.leases.opened("a");
  node.follow(10);
  node.take_sent();
  node.told({.term = {1}, .missed = true});
  node.follow(10);
  const auto sent = node.take_sent();
  REQUIRE(sent.size() == 1);
  CHECK(sent[0].second.sessions == Names{"a"});
  CHECK(sent[0].second.changes->after == 0);
}

TEST_CASE("a leader says what it knows of a node's sessions, and asks for what it missed") {
  Cluster cluster;
  LeasesNode node(cluster);
  node.members = members(3);
  cluster.subscribe("one", "s");
  node.lead(10);
  node.take_sent();
  node.reported({2}, {.term = {1}, .up_to = 1, .sent = 77}, {"one"});
  node.lead(10);
  auto sent = node.take_sent();
  REQUIRE(sent.size() == 1);
  CHECK(sent[0].first == raft::NodeId{2});
  REQUIRE(sent[0].second.leases);
  CHECK(sent[0].second.leases->term == raft::Term{1});
  CHECK(sent[0].second.leases->life == 2);
  CHECK(sent[0].second.leases->known == 1);
  CHECK(sent[0].second.leases->sent == 77);
  CHECK_FALSE(sent[0].second.leases->missed);
  node.reported({2}, {.term = {1}, .after = 2, .up_to = 3}, {"two"});  // change 2 was lost
  node.lead(10);
  sent = node.take_sent();
  REQUIRE(sent.size() == 1);
  CHECK(sent[0].second.leases->known == 1);
  CHECK(sent[0].second.leases->missed);
  node.reported({2}, {.term = {2}, .up_to = 9}, {"three"});                    // for another leader
  node.leases.on_told({9}, {{"one"}, ServedChanges{.term = {1}, .life = 9}});  // a stranger
  node.lead(10);
  CHECK(node.take_sent().empty());
}

TEST_CASE("a leader tells who may lead next since when sessions are silent, then what changes") {
  Cluster cluster;
  LeasesNode node(cluster);
  node.members = members(2);
  for (const char* session : {"a", "b", "c"}) cluster.subscribe(session, "s");
  node.leases.opened("b");
  node.lead(10);
  node.reported({2}, {.term = {1}});
  node.lead(30);
  auto sent = node.take_sent();
  REQUIRE(!sent.empty());
  LeaseChanges changes = *sent.back().second.leases;
  CHECK(changes.after == 0);
  CHECK(changes.latest);
  REQUIRE(changes.silent.size() == 2);  // of "b" it need not hear
  CHECK(changes.silent[0].session == "a");
  CHECK(changes.silent[1].session == "c");
  CHECK(changes.served.empty());
  node.reported({2}, {.term = {1}, .known = changes.up_to});
  node.leases.opened("a");
  node.lead(10);
  sent = node.take_sent();
  REQUIRE(sent.size() == 1);
  CHECK(sent[0].second.leases->after == changes.up_to);
  CHECK(sent[0].second.leases->served == Names{"a"});
  CHECK(sent[0].second.leases->silent.empty());
}

TEST_CASE("a follower of a former build is told nothing, and its sessions live by its reports") {
  Cluster cluster;
  LeasesNode node(cluster);
  node.members = members(3);
  for (const char* session : {"there", "idle"}) cluster.subscribe(session, "s");
  node.lead(10);
  for (int i = 0; i < 12; ++i) {
    node.lead(100);
    node.served({"there", "unknown"});
  }
  CHECK(node.take_sent().empty());
  CHECK(node.take_proposed() == Names{"idle"});
}

TEST_CASE("a leader of a former build is told everything again four times in a lease") {
  Cluster cluster;
  LeasesNode node(cluster);
  node.leases.opened("a");
  node.follow(2'000);
  std::size_t told = 0;
  for (const auto& [to, report] : node.take_sent()) told += report.sessions == Names{"a"};
  CHECK(told >= 7);
  CHECK(told <= 9);
}

TEST_CASE("a node that does not lead ignores reports, and the word of one that does not lead") {
  Cluster cluster;
  LeasesNode node(cluster);
  node.follow(100);
  node.served({"one"});
  CHECK(node.leases.size() == 0);
  cluster.subscribe("one", "s");
  LeaseChanges changes{.term = {1}, .up_to = 1, .latest = true, .silent = {{"one", 5'000}}};
  changes.life = 1;
  changes.sent = node.take_sent_time();
  node.leases.on_told({3}, {{}, std::nullopt, changes});  // node 2 leads
  node.lead(500, {2});
  CHECK(node.proposed.empty());
}

}  // namespace
}  // namespace iris::testing
