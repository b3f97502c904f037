// Snapshots: a follower whose log was trimmed away gets the state, whatever happens on the way.
#include <algorithm>

#include "tests/node/cluster.h"

#include "tests/catch.h"  // last: its CHECK must not stand in for raft/check.h's

namespace iris::test {
namespace {

NodeOptions tiny() {
  NodeOptions options = Cluster::small();
  options.log_entries_max = 10;
  options.snapshot_chunk_bytes = 256;
  options.snapshot_window_bytes = 1024;
  return options;
}

bool is_chunk(const Packet& packet) { return std::holds_alternative<SnapshotChunk>(packet.body); }

// Three nodes; 3 was away while so much was written that it needs a snapshot.
struct Behind {
  Cluster cluster;
  int written = 0;

  explicit Behind(NodeOptions options = tiny()) : cluster(std::move(options)) {
    cluster.form(3);
    leave_behind();
  }
  void write(int count) {
    WriteAnswer last;
    for (int i = 0; i < count; ++i) {
      const std::uint64_t leader = cluster.wait_for_leader();
      last = cluster.set(leader, "key-" + std::to_string(written++), std::string(40, 'x'));
      REQUIRE(cluster.until([&] { return last->ok(); }));
    }
    cluster.tick(5);
  }
  void leave_behind() {
    cluster.isolate(3);
    write(60);
    REQUIRE(cluster.node(cluster.leader()).floor() > cluster.node(3).core().status().last);
  }
  bool caught_up() {
    const std::uint64_t leader = cluster.leader();
    return leader != 0 && cluster.runs(3) &&
           cluster.node(3).applied() == cluster.node(leader).applied();
  }
  void require_equal() {
    REQUIRE(cluster.until([&] { return caught_up(); }));
    CHECK(cluster.disk(3).data().digest() == cluster.disk(1).data().digest());
    CHECK(cluster.value(3, "key-" + std::to_string(written - 1)) == std::string(40, 'x'));
    const WriteAnswer wrote = cluster.set(3, "after", "it");
    REQUIRE(cluster.until([&] { return wrote->ok() && cluster.value(3, "after") == "it"; }));
  }
};

TEST_CASE("the log is held back for a snapshot on its way, up to eight times its limit (66)") {
  Cluster cluster(tiny());
  cluster.form(3);
  cluster.isolate(3);
  WriteAnswer last;
  const auto write = [&](int count) {
    for (int i = 0; i < count; ++i) {
      last = cluster.set(1, "k", "v");
      REQUIRE(cluster.until([&] { return last->ok(); }));
    }
    cluster.tick(3);
  };
  write(60);
  raft::Index mark;
  cluster.keep = [&](const Packet& packet) {
    if (is_chunk(packet)) mark = std::get<SnapshotChunk>(packet.body).mark.last.index;
    return is_chunk(packet);
  };
  cluster.heal();
  REQUIRE(cluster.until([&] { return mark.value > 0; }));
  const auto limit = static_cast<int>(tiny().log_entries_max);
  write(7 * limit);
  CHECK(cluster.node(1).floor() <= mark);
  write(2 * limit);
  CHECK(cluster.node(1).floor() > mark);
}

TEST_CASE(
    "the log is held back for a stream that is told a state, up to four times its limit (87)") {
  Cluster cluster(tiny());
  cluster.form(1);
  const auto write = [&](int count) {
    for (int i = 0; i < count; ++i) {
      const WriteAnswer wrote = cluster.set(1, "k", "v");
      REQUIRE(cluster.until([&] { return wrote->ok(); }));
    }
    cluster.tick(3);
  };
  const auto limit = static_cast<int>(tiny().log_entries_max);
  write(2 * limit);
  const raft::Index kept = cluster.node(1).applied();
  cluster.log_kept = kept;
  write(3 * limit);
  CHECK(cluster.node(1).floor() <= kept);
  write(2 * limit);
  CHECK(cluster.node(1).floor() > kept);

  cluster.log_kept = cluster.node(1).applied();
  write(limit);
  cluster.log_kept.reset();
  write(limit);
  CHECK(cluster.node(1).floor().value + tiny().log_entries_max >= cluster.node(1).applied().value);
}

TEST_CASE("a follower below the log's floor is given a snapshot and goes on from it (36, 62, 67)") {
  Behind b;
  b.cluster.heal();
  b.require_equal();
  REQUIRE(b.cluster.at(3).installed.size() == 1);
  // What came by snapshot was never told entry by entry, what came after it was.
  const raft::Index mark = b.cluster.at(3).installed.front();
  const auto& applied = b.cluster.at(3).applied;
  CHECK(std::none_of(applied.begin(), applied.end(), [&](const auto& each) {
    return each.first->id.index <= mark && each.first->id.index.value > mark.value - 30;
  }));
  CHECK(applied.back().first->id.index > mark);
  // It votes and leads like any other.
  AdminRequest transfer;
  transfer.kind = AdminRequest::Kind::transfer;
  transfer.node = {3};
  const AdminAnswer moved = b.cluster.admin(1, transfer);
  CHECK(b.cluster.until([&] { return moved->ok() && b.cluster.leader() == 3; }));
}

TEST_CASE("no more than the window is on its way, however slow the receiver is (113, 55)") {
  Behind b;
  std::size_t bytes = 0;
  b.cluster.keep = [&](const Packet& packet) {
    if (!is_chunk(packet)) return false;
    bytes += std::get<SnapshotChunk>(packet.body).bytes.size();
    return true;
  };
  b.cluster.heal();
  REQUIRE(b.cluster.until([&] { return bytes > 0; }));
  b.cluster.tick(2);
  CHECK(bytes <= 1024);
  b.write(5);  // and nobody else waits for it
  b.cluster.kept.clear();
  b.cluster.keep = nullptr;
  b.require_equal();
}

TEST_CASE("snapshots go at the rate that is allowed, and not over it (113)") {
  NodeOptions options = tiny();
  options.snapshot_bytes_per_second = 25'600;  // a chunk of 256 bytes in a tick of 10 ms
  Behind b(options);
  std::size_t bytes = 0;
  std::uint64_t ticks = 0;
  std::uint64_t first_tick = 0;
  b.cluster.keep = [&](const Packet& packet) {
    if (!is_chunk(packet)) return false;
    if (bytes == 0) first_tick = ticks;
    bytes += std::get<SnapshotChunk>(packet.body).bytes.size();
    CHECK(bytes <= (ticks - first_tick + 2) * 256);
    return false;
  };
  b.cluster.heal();
  while (!b.caught_up() && ticks < 1000) {
    b.cluster.tick(1);
    ++ticks;
  }
  REQUIRE(b.caught_up());
  CHECK(bytes > 2000);
  CHECK(bytes >= (ticks - first_tick) * 256 / 2);  // and not far below it
}

TEST_CASE("a full connection is given no chunks until it has drained (113)") {
  Behind b;
  std::size_t chunks = 0;
  b.cluster.keep = [&](const Packet& packet) {
    chunks += is_chunk(packet);
    return false;
  };
  for (std::uint64_t id : {1, 2}) b.cluster.at(id).transport->queued = 1024;
  b.cluster.heal();
  b.cluster.tick(50);
  CHECK(chunks == 0);
  for (std::uint64_t id : {1, 2}) b.cluster.at(id).transport->queued = 0;
  b.require_equal();
  CHECK(chunks > 0);
}

TEST_CASE("lost chunks are sent again (63)") {
  Behind b;
  int seen = 0;
  b.cluster.keep = [&](const Packet& packet) { return is_chunk(packet) && ++seen % 3 == 0; };
  b.cluster.heal();
  b.require_equal();
  CHECK(b.cluster.at(3).installed.size() == 1);
  CHECK(b.cluster.kept.size() > 2);
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
  // Everything is staged; the flip waits for the log lane.
  b.cluster.tick(60);
  REQUIRE(b.cluster.at(3).installed.empty());
  b.cluster.crash(3);
  b.cluster.restart(3);
  b.require_equal();
}

TEST_CASE("a leader that changes in the middle leaves nothing behind (64)") {
  Behind b;
  int seen = 0;
  b.cluster.keep = [&](const Packet& packet) { return is_chunk(packet) && ++seen > 5; };
  b.cluster.heal();
  REQUIRE(b.cluster.until([&] { return seen > 5; }));
  const std::uint64_t old = b.cluster.leader();
  AdminRequest transfer;
  transfer.kind = AdminRequest::Kind::transfer;
  transfer.node = {old == 1 ? 2u : 1u};
  const AdminAnswer moved = b.cluster.admin(old, transfer);
  REQUIRE(b.cluster.until([&] { return moved->ok(); }));
  b.cluster.deliver_kept();  // the old leader's chunks come late
  int late = 0;
  b.cluster.keep = [&](const Packet& packet) {
    late += is_chunk(packet) && packet.from.value == old;
    return false;
  };
  b.require_equal();
  b.cluster.tick(30);
  CHECK(late == 0);  // and it sends no more of them
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

TEST_CASE("what is being applied is applied before the state is replaced (59, 69)") {
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

TEST_CASE("only who leads may send a snapshot (61)") {
  Cluster cluster(tiny());
  cluster.form(3);
  std::size_t acks = 0;
  cluster.keep = [&](const Packet& packet) {
    acks += std::holds_alternative<SnapshotAck>(packet.body);
    return false;
  };
  SnapshotChunk chunk;
  chunk.transfer = 7;
  chunk.mark = cluster.node(1).core().mark_at(cluster.node(1).applied());
  chunk.bytes = "x";
  cluster.node(3).receive({{2}, chunk});
  cluster.settle();
  CHECK(acks == 0);
  chunk.offset = 5;  // its beginning is unknown here
  cluster.node(3).receive({{1}, chunk});
  cluster.settle();
  CHECK(acks == 1);
}

TEST_CASE("a snapshot of what is known already is acknowledged and dropped (48, 61)") {
  Cluster cluster(tiny());
  cluster.form(3);
  const WriteAnswer wrote = cluster.set(1, "k", "old");
  REQUIRE(cluster.until([&] { return wrote->ok(); }));
  auto source = cluster.at(1).store->pin();
  const WriteAnswer again = cluster.set(1, "k", "new");
  REQUIRE(cluster.until([&] { return again->ok() && cluster.value(3, "k") == "new"; }));
  SnapshotChunk chunk;
  chunk.transfer = 7;
  chunk.mark = source->mark();
  source->read(1u << 20, [&](Result<std::string> bytes) { chunk.bytes = std::move(*bytes); });
  cluster.settle();
  REQUIRE_FALSE(chunk.bytes.empty());
  std::vector<SnapshotAck> acks;
  cluster.keep = [&](const Packet& packet) {
    if (const auto* ack = std::get_if<SnapshotAck>(&packet.body)) acks.push_back(*ack);
    return false;
  };
  chunk.last = true;
  cluster.node(3).receive({{1}, chunk});
  cluster.settle();
  REQUIRE_FALSE(acks.empty());
  CHECK(acks.back().done);
  CHECK(cluster.at(3).installed.empty());
  CHECK(cluster.value(3, "k") == "new");
}

// It waited for a data lane without work, and kept the log from being trimmed for as long.
TEST_CASE("a staged snapshot that the log has overtaken is dropped under load as well (61, 66)") {
  Cluster cluster(tiny());
  cluster.form(3);
  cluster.at(3).hold_data = true;  // from here on it always has something to apply
  cluster.set(1, "k", "early");
  cluster.settle();
  cluster.keep = [](const Packet& packet) {
    const auto* message = std::get_if<raft::Message>(&packet.body);
    return packet.to.value == 3 && message != nullptr &&
           std::holds_alternative<raft::AppendRequest>(message->body);
  };
  const WriteAnswer wrote = cluster.set(1, "k", "v");
  cluster.settle();
  REQUIRE(wrote->ok());
  auto source = cluster.at(1).store->pin();
  SnapshotChunk chunk;
  chunk.transfer = 7;
  chunk.mark = source->mark();
  chunk.last = true;
  source->read(1u << 20, [&](Result<std::string> bytes) { chunk.bytes = std::move(*bytes); });
  cluster.settle();
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
  // The receiver says nothing of being done, so that the sender repeats the end.
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

TEST_CASE("a newcomer gets a snapshot where the log does not go back to the beginning (52)") {
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

TEST_CASE("members that change around a snapshot are those the log says (46, 47, 48)") {
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
