// The follower's side of snapshots: staging, checking, installing, whatever happens on the way.
#include <algorithm>

#include "tests/node/behind.h"

#include "tests/catch.h"  // last: its CHECK must not stand in for raft/check.h's

namespace iris::test {
namespace {

TEST_CASE("a follower below the log's floor is given a snapshot and goes on from it (36, 62, 67)") {
  Behind b;
  b.cluster.heal();
  b.require_equal();
  REQUIRE(b.cluster.at(3).installed.size() == 1);
  // on_applied saw none of the entries in the snapshot, and all after it.
  const raft::Index mark = b.cluster.at(3).installed.front();
  const auto& applied = b.cluster.at(3).applied;
  CHECK(std::none_of(applied.begin(), applied.end(), [&](const auto& each) {
    return each.first->id.index <= mark && each.first->id.index.value > mark.value - 30;
  }));
  CHECK(applied.back().first->id.index > mark);
  // Node 3 votes and leads like any other.
  const AdminAnswer moved = b.cluster.transfer(1, 3);
  CHECK(b.cluster.until([&] { return moved->ok() && b.cluster.leader() == 3; }));
}

TEST_CASE("a receiver that dies in the middle begins again from nothing (63)") {
  Behind b;
  int seen = 0;
  b.cluster.keep = [&](const Packet& packet) { return is_chunk(packet) && ++seen > 5; };
  b.cluster.heal();
  REQUIRE(b.cluster.until([&] { return seen > 5; }));
  b.cluster.crash(3);
  b.cluster.kept.clear();
  b.cluster.keep = nullptr;
  b.cluster.tick(5);
  b.cluster.restart(3);
  b.require_equal();
}

TEST_CASE("a receiver that dies while it installs comes back with one state or the other (60)") {
  Behind b;
  b.cluster.heal();
  b.cluster.at(3).hold_log = true;
  // Everything is staged; the install waits for the log lane.
  b.cluster.tick(60);
  REQUIRE(b.cluster.at(3).installed.empty());
  b.cluster.crash(3);
  b.cluster.restart(3);
  b.require_equal();
}

TEST_CASE("a damaged snapshot is refused and sent anew; the state stays what it was (68)") {
  Behind b;
  const std::uint64_t digest = b.cluster.disk(3).data().digest();
  bool damaged = false;
  int refusals = 0;
  b.cluster.keep = [&](const Packet& packet) {
    const auto* ack = std::get_if<SnapshotAck>(&packet.body);
    if (ack != nullptr && ack->refused) {
      ++refusals;
      CHECK(b.cluster.disk(3).data().digest() == digest);
    }
    if (!is_chunk(packet) || std::exchange(damaged, true)) return false;
    Packet bad = packet;
    std::get<SnapshotChunk>(bad.body).bytes.front() ^= 1;
    b.cluster.node(3).receive({bad.from, bad.body});
    return true;
  };
  b.cluster.heal();
  b.require_equal();
  CHECK(refusals == 1);
}

TEST_CASE("entries under way are applied before the state is replaced (59, 69)") {
  Cluster cluster(tiny());
  cluster.form(3);
  cluster.at(3).hold_data = true;
  WriteAnswer last;
  for (int i = 0; i < 5; ++i) last = cluster.set(1, "early", std::to_string(i));
  REQUIRE(cluster.until([&] { return last->ok(); }));
  cluster.tick(5);
  cluster.isolate(3);
  for (int i = 0; i < 60; ++i) {
    last = cluster.set(1, "key-" + std::to_string(i), "x");
    REQUIRE(cluster.until([&] { return last->ok(); }));
  }
  cluster.tick(5);
  REQUIRE(cluster.node(1).floor() > cluster.node(3).core().status().last);
  cluster.heal();
  cluster.tick(100);
  CHECK(cluster.at(3).installed.empty());
  CHECK(cluster.at(3).applied.empty());
  cluster.at(3).hold_data = false;
  REQUIRE(cluster.until([&] { return cluster.node(3).applied() == cluster.node(1).applied(); }));
  CHECK(cluster.at(3).installed.size() == 1);
  CHECK(cluster.at(3).applied.size() >= 5);
  CHECK(cluster.disk(3).data().digest() == cluster.disk(1).data().digest());
}

TEST_CASE("only the leader may send a snapshot (61)") {
  Cluster cluster(tiny());
  cluster.form(3);
  std::size_t acks = 0;
  cluster.keep = [&](const Packet& packet) {
    acks += std::holds_alternative<SnapshotAck>(packet.body);
    return false;
  };
  SnapshotChunk chunk;
  chunk.transfer = 7;
  chunk.mark = cluster.node(1).core().snapshot_metadata_at(cluster.node(1).applied());
  chunk.bytes = "x";
  cluster.node(3).receive({{2}, chunk});
  cluster.settle();
  CHECK(acks == 0);
  chunk.offset = 5;  // the receiver does not have what comes before
  cluster.node(3).receive({{1}, chunk});
  cluster.settle();
  CHECK(acks == 1);
}

TEST_CASE("a snapshot of entries that the log has is acknowledged and dropped (48, 61)") {
  Cluster cluster(tiny());
  cluster.form(3);
  const WriteAnswer wrote = cluster.set(1, "k", "old");
  REQUIRE(cluster.until([&] { return wrote->ok(); }));
  const SnapshotChunk chunk = whole_snapshot(cluster, 1);
  const WriteAnswer again = cluster.set(1, "k", "new");
  REQUIRE(cluster.until([&] { return again->ok() && cluster.value(3, "k") == "new"; }));
  std::vector<SnapshotAck> acks;
  cluster.keep = [&](const Packet& packet) {
    if (const auto* ack = std::get_if<SnapshotAck>(&packet.body)) acks.push_back(*ack);
    return false;
  };
  cluster.node(3).receive({{1}, chunk});
  cluster.settle();
  REQUIRE_FALSE(acks.empty());
  CHECK(acks.back().done);
  CHECK(cluster.at(3).installed.empty());
  CHECK(cluster.value(3, "k") == "new");
}

// A fault that was: the snapshot waited for a data lane without work, and kept the log from being
// trimmed for as long.
TEST_CASE("a staged snapshot that the log has overtaken is dropped under load as well (61, 66)") {
  Cluster cluster(tiny());
  cluster.form(3);
  cluster.at(3).hold_data = true;  // from here on there is always something to apply
  cluster.set(1, "k", "early");
  cluster.settle();
  cluster.keep = [](const Packet& packet) {
    return packet.to.value == 3 && raft_body<raft::AppendRequest>(packet) != nullptr;
  };
  const WriteAnswer wrote = cluster.set(1, "k", "v");
  cluster.settle();
  REQUIRE(wrote->ok());
  const SnapshotChunk chunk = whole_snapshot(cluster, 1);
  REQUIRE(chunk.mark.last.index > cluster.node(3).core().commit_index());
  cluster.node(3).receive({{1}, chunk});
  cluster.settle();
  cluster.deliver_kept();
  REQUIRE(chunk.mark.last.index <= cluster.node(3).core().commit_index());
  REQUIRE(chunk.mark.last.index > cluster.node(3).applied());
  for (int i = 0; i < 60; ++i) {
    cluster.set(1, "k", std::to_string(i));
    cluster.tick();
    cluster.at(3).store->run(sim::Lane::data);
  }
  const raft::CoreStatus status = cluster.node(3).core().status();
  CHECK(status.last.value + 1 - status.first.value <= 20);
  CHECK(cluster.at(3).installed.empty());
  cluster.at(3).hold_data = false;
  cluster.settle();
  CHECK(cluster.value(3, "k") == "59");
}

TEST_CASE("two snapshots in quick succession (64)") {
  Behind b;
  b.cluster.heal();
  b.require_equal();
  b.leave_behind();
  b.cluster.heal();
  b.require_equal();
  CHECK(b.cluster.at(3).installed.size() == 2);
}

TEST_CASE("a snapshot that is not needed any more is acknowledged and dropped (61)") {
  Behind b;
  // The first acknowledgement of the end is lost, so the sender repeats the end.
  std::size_t dones = 0;
  b.cluster.keep = [&](const Packet& packet) {
    const auto* ack = std::get_if<SnapshotAck>(&packet.body);
    return ack != nullptr && ack->done && ++dones <= 1;
  };
  b.cluster.heal();
  b.require_equal();
  CHECK(b.cluster.until([&] { return dones >= 2; }));
  CHECK(b.cluster.at(3).installed.size() == 1);
}

TEST_CASE("a newcomer gets a snapshot where the log does not begin with the first entry (52)") {
  Cluster cluster(tiny());
  cluster.form(1);
  WriteAnswer last;
  for (int i = 0; i < 60; ++i) {
    last = cluster.set(1, "key-" + std::to_string(i), "x");
    REQUIRE(cluster.until([&] { return last->ok(); }));
  }
  cluster.tick(10);
  REQUIRE(cluster.node(1).floor().value > 10);
  cluster.add(2);
  const AdminAnswer joined = cluster.join(1, "host-2:1");
  REQUIRE(cluster.until([&] { return joined->ok() && cluster.is_voter(2, 2); }));
  CHECK(cluster.at(2).installed.size() == 1);
  CHECK(cluster.value(2, "key-59") == "x");
}

TEST_CASE("members that change around a snapshot are those of the log (46, 47, 48)") {
  Behind b;
  b.cluster.tick(15);
  const AdminAnswer removed = b.cluster.remove(1, 2);
  // 3 is unreachable: removing 2 would leave no living majority.
  REQUIRE(b.cluster.until([&] { return !removed->pending(); }));
  CHECK(removed->failed(Errc::refused));
  b.cluster.add(4);
  const AdminAnswer joined = b.cluster.join(1, "host-4:1");
  REQUIRE(b.cluster.until([&] { return joined->ok() && b.cluster.is_voter(1, 4); }));
  b.write(30);
  b.cluster.heal();
  b.require_equal();
  CHECK(b.cluster.is_voter(3, 4));
  b.cluster.crash(3);
  b.cluster.restart(3);
  CHECK(b.cluster.is_voter(3, 4));
  b.require_equal();
}

}  // namespace
}  // namespace iris::test
