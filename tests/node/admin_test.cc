// Administrative calls from the call to the answer: joins, removals, transfers, addresses.
#include "tests/node/cluster.h"

#include "tests/catch.h"  // last: its CHECK must not stand in for raft/check.h's

namespace iris::test {
namespace {

using Kind = AdminRequest::Kind;

TEST_CASE("a join is answered once the learner is in the log, and it votes soon after (52)") {
  Cluster cluster;
  cluster.form(1);
  cluster.add(2);
  const AdminAnswer joined = cluster.join(1, "host-2:1");
  REQUIRE(cluster.until([&] { return !joined->pending(); }));
  REQUIRE(joined->ok());
  CHECK(joined->got.front()->value == 2);
  CHECK(cluster.until([&] { return cluster.is_voter(1, 2) && cluster.is_voter(2, 2); }));
}

TEST_CASE("a join may be asked of any node, and again") {
  Cluster cluster;
  cluster.form(2);
  cluster.add(3);
  const AdminAnswer joined = cluster.join(2, "host-3:1");
  REQUIRE(cluster.until([&] { return joined->ok() && cluster.is_voter(2, 3); }));
  const raft::Index before = cluster.node(1).core().status().last;
  for (std::uint64_t asked : {1, 2, 3}) {
    for (const char* address : {"host-1:1", "host-2:1", "host-3:1"}) {
      const AdminAnswer again = cluster.join(asked, address);
      REQUIRE(cluster.until([&] { return !again->pending(); }));
      CHECK(again->ok());
    }
  }
  CHECK(cluster.node(1).core().status().last == before);
}

TEST_CASE("a join is not answered before the learner's entry is committed, nor a second one") {
  Cluster cluster;
  cluster.form(1);
  cluster.add(2);
  cluster.at(1).hold_log = true;
  const AdminAnswer first = cluster.join(1, "host-2:1");
  cluster.tick(3);
  REQUIRE(cluster.node(1).core().members().learners.size() == 1);
  const AdminAnswer second = cluster.join(1, "host-2:1");
  cluster.tick(3);
  CHECK(first->pending());
  CHECK(second->pending());
  cluster.at(1).hold_log = false;
  REQUIRE(cluster.until([&] { return first->ok() && second->ok(); }));
}

TEST_CASE("a join of an address without a node changes nothing") {
  Cluster cluster;
  cluster.form(1);
  const AdminAnswer joined = cluster.join(1, "nowhere:1");
  REQUIRE(cluster.until([&] { return !joined->pending(); }));
  CHECK(joined->failed(Errc::unavailable));
  CHECK(joined->text().find("nowhere:1") != std::string::npos);
  CHECK(cluster.node(1).core().members().learners.empty());
}

TEST_CASE("a join of a member that is down is answered with its id") {
  Cluster cluster;
  cluster.form(3);
  const raft::Index before = cluster.node(1).core().status().last;
  cluster.crash(3);
  for (std::uint64_t asked : {1, 2}) {
    const AdminAnswer joined = cluster.join(asked, "host-3:1");
    REQUIRE(cluster.until([&] { return !joined->pending(); }));
    REQUIRE(joined->ok());
    CHECK(joined->got.front()->value == 3);
  }
  CHECK(cluster.node(1).core().status().last == before);
}

TEST_CASE("a join of a learner that is down is answered once its entry is committed") {
  Cluster cluster;
  cluster.form(1);
  cluster.add(2);
  cluster.at(1).hold_log = true;
  const AdminAnswer first = cluster.join(1, "host-2:1");
  cluster.tick(3);
  REQUIRE(cluster.node(1).core().members().learners.size() == 1);
  cluster.crash(2);
  const AdminAnswer second = cluster.join(1, "host-2:1");
  cluster.tick(3);
  CHECK(second->pending());
  cluster.at(1).hold_log = false;
  REQUIRE(cluster.until([&] { return first->ok() && second->ok(); }));
}

TEST_CASE("a node is admitted under the address by which it calls itself") {
  Cluster cluster;
  cluster.form(1);
  cluster.add(2, "name-2:1");
  // host-2:1 is another name of the same host.
  cluster.alias("host-2:1", "name-2:1");
  const AdminAnswer joined = cluster.join(1, "host-2:1");
  REQUIRE(cluster.until([&] { return joined->ok() && cluster.is_voter(1, 2); }));
  CHECK(cluster.node(1).core().members().voters.back().address == "name-2:1");
}

TEST_CASE("a removed follower is told, says so and stops cleanly (54)") {
  Cluster cluster;
  cluster.form(3);
  const AdminAnswer removed = cluster.remove(2, 3);
  REQUIRE(cluster.until([&] { return !removed->pending() && cluster.at(3).halted.has_value(); }));
  CHECK(removed->ok());
  CHECK(cluster.at(3).halted->clean);
  CHECK(cluster.voters(1) == 2);
  const raft::Term term = cluster.node(1).core().term();
  cluster.tick(100);
  CHECK(cluster.node(1).core().term() == term);
}

TEST_CASE("a node that asked for its own removal hears that it was done (54)") {
  Cluster cluster;
  cluster.form(3);
  cluster.keep = [](const Packet& packet) {
    return std::holds_alternative<AdminReply>(packet.body);
  };
  const AdminAnswer removed = cluster.remove(3, 3);
  REQUIRE(cluster.until([&] { return cluster.at(3).halted.has_value(); }));
  CHECK(removed->ok());
}

TEST_CASE("a leader may be removed: it answers, hands over, and stops cleanly (53)") {
  Cluster cluster;
  cluster.form(3);
  const AdminAnswer local = cluster.remove(1, 1);
  const AdminAnswer remote = cluster.remove(2, 1);
  REQUIRE(cluster.until([&] { return cluster.at(1).halted.has_value() && !remote->pending(); }));
  CHECK(cluster.at(1).halted->clean);
  CHECK(local->ok());
  CHECK(cluster.until([&] { return cluster.leader() > 1; }));
  CHECK(cluster.voters(cluster.leader()) == 2);
}

TEST_CASE("a stranger's removal is not found; one that leaves no living majority, refused (57)") {
  Cluster cluster;
  cluster.form(3);
  const AdminAnswer stranger = cluster.remove(2, 99);
  REQUIRE(cluster.until([&] { return !stranger->pending(); }));
  CHECK(stranger->failed(Errc::not_found));
  cluster.crash(3);
  cluster.tick(20);
  const AdminAnswer living = cluster.remove(1, 2);  // would leave 1 and the dead 3
  REQUIRE(cluster.until([&] { return !living->pending(); }));
  CHECK(living->failed(Errc::refused));
  const AdminAnswer dead = cluster.remove(1, 3);
  REQUIRE(cluster.until([&] { return !dead->pending(); }));
  CHECK(dead->ok());
}

TEST_CASE("a second change waits for the first (44)") {
  Cluster cluster;
  cluster.form(1);
  for (std::uint64_t id : {2, 3, 4}) cluster.add(id);
  const AdminAnswer a = cluster.join(1, "host-2:1");
  const AdminAnswer b = cluster.join(1, "host-3:1");
  const AdminAnswer c = cluster.join(1, "host-4:1");
  REQUIRE(cluster.until([&] { return a->ok() && b->ok() && c->ok(); }));
  CHECK(cluster.until([&] { return cluster.voters(1) == 4; }));
}

TEST_CASE("leadership goes where it is sent, from any node (17)") {
  Cluster cluster;
  cluster.form(3);
  const AdminAnswer moved = cluster.transfer(3, 2);
  REQUIRE(cluster.until([&] { return !moved->pending(); }));
  REQUIRE(moved->ok());
  CHECK(moved->got.front()->value == 2);
  CHECK(cluster.leader() == 2);
  const AdminAnswer stranger = cluster.transfer(2, 9);
  REQUIRE(cluster.until([&] { return !stranger->pending(); }));
  CHECK(stranger->failed(Errc::not_found));
}

TEST_CASE("a transfer to a node that cannot take over is given up, and writes go on (17)") {
  Cluster cluster;
  cluster.form(3);
  cluster.cut(1, 2);
  const AdminAnswer moved = cluster.transfer(1, 2);
  const WriteAnswer during = cluster.set(1, "k", "v");
  REQUIRE(cluster.until([&] { return !moved->pending(); }, 50));
  CHECK(moved->failed(Errc::refused));
  CHECK(cluster.until([&] { return during->ok(); }, 50));
}

TEST_CASE("a transfer that is not over in time may still be done: unknown (17, 42)") {
  Cluster cluster;
  cluster.form(3);
  cluster.keep = [](const Packet& packet) {
    return raft_body<raft::TimeoutNow>(packet) != nullptr;
  };
  const AdminAnswer moved = cluster.transfer(1, 2, 30);
  REQUIRE(cluster.until([&] { return !moved->pending(); }, 5));
  CHECK(moved->failed(Errc::unknown_outcome));
  cluster.deliver_kept();
  CHECK(cluster.until([&] { return cluster.leader() == 2; }));
}

TEST_CASE("a leader that never answered may have done what the next one refuses: unknown (42)") {
  Cluster cluster;
  cluster.form(3);
  std::vector<raft::NodeId> asked;
  std::uint64_t id = 0;
  cluster.keep = [&](const Packet& packet) {
    const auto* join = std::get_if<AdminRequest>(&packet.body);
    if (join == nullptr || join->kind != Kind::join) return false;
    asked.push_back(packet.to);
    id = join->id;
    return true;
  };
  const AdminAnswer joined = cluster.join(3, "host-4:1", 2000);
  REQUIRE(cluster.until([&] { return asked.size() == 1; }));
  const AdminAnswer moved = cluster.transfer(1, 2);
  REQUIRE(cluster.until([&] { return asked.size() == 2; }));
  REQUIRE(asked == std::vector<raft::NodeId>{{1}, {2}});
  AdminReply no_leader;
  no_leader.id = id;
  no_leader.code = Errc::not_leader;
  cluster.isolate(3);
  REQUIRE(cluster.until([&] { return cluster.node(3).core().leader().value == 0; }));
  cluster.node(3).receive({{2}, no_leader});
  REQUIRE(cluster.until([&] { return !joined->pending(); }));
  CHECK(joined->failed(Errc::unknown_outcome));
}

TEST_CASE("a leader that never answered may have done what the next one cannot do: unknown (42)") {
  Cluster cluster;
  cluster.form(3);
  std::size_t lost = 0;
  cluster.keep = [&](const Packet& packet) {
    const bool asks = std::holds_alternative<AdminRequest>(packet.body) && packet.from.value == 3;
    return asks && packet.to.value == 1 && ++lost > 0;
  };
  // Node 3, where the call is, follows the next leader or leads next itself.
  const std::uint64_t next = GENERATE(2, 3);
  const AdminAnswer joined = cluster.join(3, "nowhere:1");
  REQUIRE(cluster.until([&] { return lost == 1; }));
  const AdminAnswer moved = cluster.transfer(1, next);
  REQUIRE(cluster.until([&] { return !joined->pending(); }));
  CHECK(cluster.leader() == next);
  CHECK(joined->failed(Errc::unknown_outcome));
  CHECK(joined->text().find("nowhere:1") != std::string::npos);
}

TEST_CASE("calls_max admin calls may be under way; one more is refused (115)") {
  constexpr int calls_max = 128;
  Cluster cluster;
  cluster.add(1);  // of no cluster: everything waits
  std::vector<AdminAnswer> calls;
  for (int i = 0; i < calls_max; ++i) calls.push_back(cluster.remove(1, 9));
  const AdminAnswer over = cluster.remove(1, 9);
  cluster.settle();
  for (const AdminAnswer& call : calls) CHECK(call->pending());
  CHECK(over->failed(Errc::limit));
  CHECK(over->text().find("128") != std::string::npos);
  cluster.node(1).stop();
  for (const AdminAnswer& call : calls) CHECK(call->failed(Errc::unavailable));
}

TEST_CASE("an admin call without a leader waits, and is unavailable in the end (57)") {
  Cluster cluster;
  cluster.form(3);
  cluster.crash(1);
  cluster.crash(2);
  REQUIRE(cluster.until([&] { return cluster.node(3).core().leader().value == 0; }));
  const AdminAnswer removed = cluster.admin(3, Kind::remove, 2, 500);
  cluster.tick(49);
  CHECK(removed->pending());
  cluster.tick(1);
  CHECK(removed->failed(Errc::unavailable));
}

TEST_CASE("a node is never given the address at which another one answers (58)") {
  Cluster cluster;
  cluster.form(3);
  AdminRequest wrong;
  wrong.kind = Kind::set_address;
  wrong.node = {3};
  wrong.address = "host-2:1";
  const AdminAnswer answer = cluster.admin(1, wrong);
  REQUIRE(cluster.until([&] { return !answer->pending(); }));
  CHECK(answer->failed(Errc::refused));
}

}  // namespace
}  // namespace iris::test
