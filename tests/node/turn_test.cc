// The turn: what may leave before a disk has answered, batches, the end of a node.
#include <algorithm>

#include "tests/node/cluster.h"

#include "tests/catch.h"  // last: its CHECK must not stand in for raft/check.h's

namespace iris::test {
namespace {

template <class Body>
bool is_raft(const Packet& packet) {
  const auto* message = std::get_if<raft::Message>(&packet.body);
  return message != nullptr && std::holds_alternative<Body>(message->body);
}

TEST_CASE("a lone node is bootstrapped, leads, and serves") {
  Cluster cluster;
  cluster.add(1);
  CHECK_FALSE(cluster.node(1).initialized());
  cluster.node(1).bootstrap();
  CHECK(cluster.node(1).initialized());
  cluster.settle();
  CHECK(cluster.leader() == 1);
  CHECK(cluster.node(1).cluster().value != 0);
  const WriteAnswer wrote = cluster.set(1, "sky", "blue");
  const ReadAnswer read = cluster.read(1);
  cluster.settle();
  REQUIRE(wrote->ok());
  CHECK(read->ok());
  CHECK(cluster.value(1, "sky") == "blue");
  CHECK(wrote->got.front()->revision == cluster.node(1).applied().value);
}

TEST_CASE("a crash between the first entry and the cluster's id ends in one cluster all the same") {
  Cluster cluster;
  cluster.add(1).hold_log = true;
  cluster.node(1).bootstrap();
  cluster.settle();
  auto& store = *cluster.at(1).store;
  REQUIRE(store.run(sim::Lane::log));  // the entry is on disk, nobody has heard
  SECTION("before the id is on its way") {}
  SECTION("while it is") {
    REQUIRE(store.run(sim::Lane::log));
    cluster.tick(50);
    CHECK(cluster.node(1).core().term().value == 1);  // it takes no part before it belongs
    CHECK(cluster.node(1).cluster().value == 0);
  }
  cluster.crash(1);
  cluster.restart(1);
  CHECK(cluster.node(1).initialized());
  REQUIRE(cluster.until([&] { return cluster.leader() == 1; }));
  CHECK(cluster.node(1).cluster().value != 0);
  CHECK(cluster.set(1, "a", "b") != nullptr);
  const raft::ClusterId cluster_id = cluster.node(1).cluster();
  cluster.crash(1);
  cluster.restart(1);
  REQUIRE(cluster.until([&] { return cluster.leader() == 1; }));
  CHECK(cluster.node(1).cluster() == cluster_id);
}

TEST_CASE("three nodes replicate what any of them was told") {
  Cluster cluster;
  cluster.form(3);
  std::vector<WriteAnswer> answers;
  for (std::uint64_t id : {1, 2, 3}) {
    answers.push_back(cluster.set(id, "from-" + std::to_string(id), "x"));
  }
  REQUIRE(cluster.until([&] {
    return std::all_of(answers.begin(), answers.end(), [](const auto& each) { return each->ok(); });
  }));
  REQUIRE(cluster.until([&] {
    return cluster.node(2).applied() == cluster.node(1).applied() &&
           cluster.node(3).applied() == cluster.node(1).applied();
  }));
  for (std::uint64_t seen_by : {1, 2, 3}) {
    for (std::uint64_t told : {1, 2, 3}) {
      CHECK(cluster.value(seen_by, "from-" + std::to_string(told)) == "x");
    }
    CHECK(cluster.at(seen_by).applied.size() == 3);
  }
  CHECK(cluster.disk(1).data().digest() == cluster.disk(2).data().digest());
}

TEST_CASE("an append is acknowledged only once it is on disk (hazards 1, 2, 29)") {
  Cluster cluster;
  cluster.form(3);
  for (std::uint64_t id : {2, 3}) cluster.at(id).hold_log = true;
  std::size_t acks = 0;
  cluster.keep = [&](const Packet& packet) {
    acks += is_raft<raft::AppendReply>(packet);
    return false;
  };
  const WriteAnswer wrote = cluster.set(1, "sky", "blue");
  cluster.settle();
  CHECK(acks == 0);
  CHECK(wrote->pending());
  cluster.at(2).hold_log = false;
  cluster.settle();
  CHECK(acks > 0);
  CHECK(wrote->ok());
}

TEST_CASE(
    "each acknowledgement waits for its own ticket, not for an earlier one (hazards 26, 31)") {
  Cluster cluster;
  cluster.form(3);
  cluster.at(2).hold_log = true;
  raft::Index acknowledged;
  cluster.keep = [&](const Packet& packet) {
    if (packet.from.value != 2 || !is_raft<raft::AppendReply>(packet)) return false;
    const auto& message = std::get<raft::Message>(packet.body);
    acknowledged = std::max(acknowledged, std::get<raft::AppendReply>(message.body).index);
    return false;
  };
  const WriteAnswer first = cluster.set(1, "a", "1");
  cluster.settle();
  const WriteAnswer second = cluster.set(1, "b", "2");
  cluster.settle();
  REQUIRE(first->ok());
  REQUIRE(second->ok());
  auto& store = *cluster.at(2).store;
  while (acknowledged.value < first->got.front()->revision) {
    REQUIRE(store.run(sim::Lane::log));
    cluster.settle();
  }
  CHECK(acknowledged.value == first->got.front()->revision);
  cluster.at(2).hold_log = false;
  cluster.settle();
  CHECK(acknowledged.value == second->got.front()->revision);
}

TEST_CASE("a vote leaves only once it is on disk (hazards 1, 2)") {
  Cluster cluster;
  cluster.form(3);
  for (std::uint64_t id : {2, 3}) cluster.at(id).hold_log = true;
  cluster.crash(1);
  std::size_t votes = 0;
  cluster.keep = [&](const Packet& packet) {
    votes += is_raft<raft::VoteReply>(packet) || is_raft<raft::VoteRequest>(packet);
    return false;
  };
  cluster.tick(100);
  CHECK(votes == 0);
  CHECK(cluster.leader() == 0);
  for (std::uint64_t id : {2, 3}) cluster.at(id).hold_log = false;
  CHECK(cluster.until([&] { return cluster.leader() != 0; }));
  CHECK(votes > 0);
}

TEST_CASE("the leader's own copy counts only once it is on disk (hazards 29, 30)") {
  Cluster cluster;
  cluster.form(1);
  cluster.at(1).hold_log = true;
  const WriteAnswer wrote = cluster.set(1, "sky", "blue");
  cluster.settle();
  CHECK(wrote->pending());
  CHECK(cluster.at(1).applied.empty());
  cluster.at(1).hold_log = false;
  cluster.settle();
  CHECK(wrote->ok());
}

TEST_CASE("all commands of a turn share one log batch and one append per follower") {
  Cluster cluster;
  cluster.form(3);
  const std::uint64_t syncs = cluster.disk(1).syncs();
  std::size_t appends = 0;
  cluster.keep = [&](const Packet& packet) {
    const auto* message = std::get_if<raft::Message>(&packet.body);
    const auto* append =
        message != nullptr ? std::get_if<raft::AppendRequest>(&message->body) : nullptr;
    appends += append != nullptr && !append->entries.empty();
    return false;
  };
  std::vector<WriteAnswer> answers;
  for (int i = 0; i < 100; ++i) answers.push_back(cluster.set(1, std::to_string(i), "x"));
  cluster.settle();
  CHECK(cluster.disk(1).syncs() == syncs + 1);
  CHECK(appends == 2);
  CHECK(std::all_of(answers.begin(), answers.end(), [](const auto& each) { return each->ok(); }));
}

TEST_CASE("a long backlog is applied in pieces, in order, each entry once (hazard 70)") {
  Cluster cluster;
  cluster.form(1);
  cluster.at(1).hold_data = true;
  for (int i = 0; i < 10'000; ++i) cluster.set(1, std::to_string(i), "x");
  cluster.settle();
  CHECK(cluster.at(1).applied.empty());
  cluster.at(1).hold_data = false;
  cluster.settle();
  const auto& applied = cluster.at(1).applied;
  REQUIRE(applied.size() == 10'000);
  for (std::size_t i = 1; i < applied.size(); ++i) {
    REQUIRE(applied[i].first->id.index == applied[i - 1].first->id.index.next());
  }
}

TEST_CASE("after a crash the data is what the log says, nothing twice (hazards 70, 19)") {
  Cluster cluster;
  cluster.form(3);
  WriteAnswer last;
  for (int i = 0; i < 20; ++i) last = cluster.set(1, "counter", std::to_string(i));
  REQUIRE(cluster.until([&] { return last->ok(); }));
  for (std::uint64_t id : {1, 2, 3}) cluster.crash(id);  // all at once, data was never synced
  for (std::uint64_t id : {1, 2, 3}) cluster.restart(id);
  const std::uint64_t leader = cluster.wait_for_leader();
  const ReadAnswer read = cluster.read(leader);
  REQUIRE(cluster.until([&] { return read->ok(); }));
  CHECK(cluster.value(leader, "counter") == "19");
}

TEST_CASE("a disk that refuses a write stops the node, and nothing leaves it (hazards 32, 95)") {
  Cluster cluster;
  cluster.form(3);
  const WriteAnswer wrote = cluster.set(1, "sky", "blue");
  cluster.disk(1).profile.fail_writes = true;
  cluster.settle();
  REQUIRE(cluster.at(1).halted);
  CHECK_FALSE(cluster.at(1).halted->clean);
  CHECK_FALSE(wrote->ok());
  cluster.node(1).stop();
  CHECK(wrote->failed(Errc::unknown_outcome));
  CHECK(cluster.until([&] { return cluster.leader() > 1; }));
}

TEST_CASE("stop() answers each call once: not proposed is unavailable, proposed is unknown (42)") {
  Cluster cluster;
  cluster.form(3);
  for (std::uint64_t id : {2, 3}) cluster.at(id).hold_log = true;
  const WriteAnswer proposed = cluster.set(1, "a", "1");
  cluster.settle();
  const WriteAnswer forwarded = cluster.set(2, "b", "1");
  cluster.settle();
  cluster.at(3).paused = true;
  cluster.add(4);
  const WriteAnswer parked = cluster.set(4, "c", "1");
  const ReadAnswer read = cluster.read(4);
  cluster.settle();
  for (std::uint64_t id : {1, 2, 4}) cluster.node(id).stop();
  CHECK(proposed->failed(Errc::unknown_outcome));
  CHECK(forwarded->failed(Errc::unknown_outcome));
  CHECK(parked->failed(Errc::unavailable));
  CHECK(read->failed(Errc::unavailable));
  const WriteAnswer late = cluster.set(1, "d", "1");
  cluster.settle();
  CHECK(late->failed(Errc::unavailable));
  CHECK(cluster.node(1).status().waiters == 0);
}

TEST_CASE("resign() hands leadership to the best voter; alone or following it is over at once") {
  Cluster cluster;
  cluster.form(3);
  int done = 0;
  cluster.node(1).resign(1000, [&] { ++done; });
  CHECK(done == 0);
  REQUIRE(cluster.until([&] { return done == 1; }, 30));
  CHECK(cluster.until([&] { return cluster.leader() > 1; }, 30));
  cluster.node(1).resign(1000, [&] { ++done; });
  cluster.settle();
  CHECK(done == 2);

  Cluster alone;
  alone.form(1);
  alone.node(1).resign(1000, [&] { ++done; });
  alone.settle();
  CHECK(done == 3);
}

}  // namespace
}  // namespace iris::test
