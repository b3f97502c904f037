// The turn: what may leave before a disk has answered, batches, a data lane that lags or hangs.
#include <algorithm>

#include "tests/node/cluster.h"

#include "tests/catch.h"  // last: its CHECK must not stand in for raft/check.h's

namespace iris::test {
namespace {

NodeOptions impatient() {
  NodeOptions options = Cluster::small();
  options.raft.disk_stall_ticks = 30;
  return options;
}

TEST_CASE("an append is acknowledged only once it is on disk (hazards 1, 2, 29)") {
  Cluster cluster;
  cluster.form(3);
  for (std::uint64_t id : {2, 3}) cluster.at(id).hold_log = true;
  std::size_t acks = 0;
  cluster.keep = [&](const Packet& packet) {
    acks += (raft_body<raft::AppendReply>(packet) != nullptr);
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
    if (packet.from.value != 2 || !(raft_body<raft::AppendReply>(packet) != nullptr)) return false;
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
    votes += (raft_body<raft::VoteReply>(packet) != nullptr) ||
             (raft_body<raft::VoteRequest>(packet) != nullptr);
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
    const auto* append = raft_body<raft::AppendRequest>(packet);
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
  for (std::uint64_t id : {1, 2, 3}) cluster.crash(id);  // together; the data was never synced
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

TEST_CASE("a leader whose data lane hangs hands leadership over (104)") {
  Cluster cluster(impatient());
  cluster.form(3);
  cluster.tick(100);  // a data lane without work does not hang
  REQUIRE(cluster.leader() == 1);
  cluster.at(1).hold_data = true;
  const WriteAnswer stuck = cluster.set(1, "k", "1");
  cluster.tick(29);
  CHECK(cluster.leader() == 1);
  CHECK(stuck->pending());
  REQUIRE(cluster.until([&] { return cluster.leader() > 1; }, 5));
  for (std::uint64_t id : {1, 2, 3}) {
    const WriteAnswer wrote = cluster.set(id, "k", std::to_string(id));
    CHECK(cluster.until([&] { return wrote->ok(); }, 20));
  }
  const ReadAnswer read = cluster.read(2);
  CHECK(cluster.until([&] { return read->ok(); }, 20));
  cluster.at(1).hold_data = false;
  cluster.settle();
  CHECK(stuck->ok());
}

TEST_CASE("a leader whose data lane is slow but gets on goes on leading (104)") {
  Cluster cluster(impatient());
  cluster.form(3);
  cluster.at(1).hold_data = true;
  cluster.set(1, "k", "first");
  cluster.settle();
  const raft::Index before = cluster.node(1).applied();
  for (int i = 0; i < 20; ++i) {
    cluster.set(1, "k", std::to_string(i));
    cluster.settle();
    for (int step = 0; step < 2; ++step) cluster.at(1).store->run(sim::Lane::data);
    cluster.tick(20);
    REQUIRE(cluster.leader() == 1);
    REQUIRE(cluster.node(1).core().status().commit > cluster.node(1).applied());
  }
  CHECK(cluster.node(1).applied() > before);
}

TEST_CASE("where every data lane hangs, leadership moves no oftener than that takes to see (104)") {
  Cluster cluster(impatient());
  cluster.form(3);
  for (std::uint64_t id : {1, 2, 3}) cluster.at(id).hold_data = true;
  const WriteAnswer stuck = cluster.set(1, "k", "v");
  const raft::Term before = cluster.node(1).core().term();
  cluster.tick(300);
  CHECK(cluster.node(1).core().term().value > before.value);
  CHECK(cluster.node(1).core().term().value <= before.value + 10);
  for (std::uint64_t id : {1, 2, 3}) cluster.at(id).hold_data = false;
  CHECK(cluster.until([&] { return stuck->ok(); }));

  Cluster alone(impatient());
  alone.form(1);
  alone.at(1).hold_data = true;
  const WriteAnswer waits = alone.set(1, "k", "v");
  alone.tick(100);
  CHECK(alone.leader() == 1);
  alone.at(1).hold_data = false;
  CHECK(alone.until([&] { return waits->ok(); }));
}

TEST_CASE("a follower whose data lane lags takes little more past unapplied_bytes_max (66, 112)") {
  NodeOptions options = Cluster::small();
  options.unapplied_bytes_max = 1000;
  options.raft.window_bytes_max = 2000;
  Cluster cluster(options);
  cluster.form(3);
  cluster.at(3).hold_data = true;
  const auto write = [&](int count) {
    for (; count > 0; --count) {
      const WriteAnswer wrote = cluster.set(1, "k", std::string(100, 'x'));
      REQUIRE(cluster.until([&] { return wrote->ok(); }, 5));
    }
  };
  const auto unapplied = [&] {
    const raft::CoreStatus status = cluster.node(3).core().status();
    return status.last.value - status.applied.value;
  };
  write(100);
  // An entry counts for 64 bytes more than its command: the limit is 6 of them, a window 12.
  CHECK(unapplied() > 6);
  CHECK(unapplied() < 6 + 12 + 3);
  cluster.tick(50);
  CHECK(unapplied() < 6 + 12 + 3);
  CHECK(cluster.leader() == 1);

  cluster.at(3).hold_data = false;
  REQUIRE(cluster.until([&] { return unapplied() == 0; }, 20));
  const raft::Index last = cluster.node(1).core().status().last;
  CHECK(cluster.until([&] { return cluster.node(3).applied() == last; }, 20));
}

TEST_CASE("a quorum that needs a lagging follower waits for it, and loses nothing (66, 112)") {
  NodeOptions options = Cluster::small();
  options.unapplied_bytes_max = 1000;
  Cluster cluster(options);
  cluster.form(2);
  cluster.at(2).hold_data = true;
  WriteAnswer last;
  int done = 0;
  for (; done < 100; ++done) {
    last = cluster.set(1, "k" + std::to_string(done), std::string(100, 'x'));
    cluster.tick(5);
    if (last->pending()) break;
  }
  CHECK(done < 20);
  cluster.tick(100);
  CHECK(last->pending());
  cluster.at(2).hold_data = false;
  CHECK(cluster.until([&] { return last->ok(); }, 10));
  const std::string key = "k" + std::to_string(done);
  CHECK(cluster.until([&] { return cluster.value(2, key) == std::string(100, 'x'); }, 10));
}

}  // namespace
}  // namespace iris::test
