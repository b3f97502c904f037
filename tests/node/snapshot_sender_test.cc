// The leader's side of snapshots: window, rate, repetition, and nodes that refuse them.
#include <algorithm>
#include <set>

#include "tests/node/behind.h"

#include "tests/catch.h"  // last: its CHECK must not stand in for raft/check.h's

namespace iris::test {
namespace {

const std::uint64_t election_ticks = tiny().raft.election_ticks;

// A cluster in which some nodes need a snapshot. Those in `refusing` refuse each as soon as it
// begins.
class Refusals {
 public:
  Refusals(std::uint64_t nodes, const std::set<std::uint64_t>& behind) : cluster(tiny()) {
    cluster.form(nodes);
    for (const std::uint64_t id : behind) cluster.isolate(id);
    cluster.write(60, 40);
    cluster.keep = [this](const Packet& packet) { return is_refused(packet); };
    cluster.heal();
  }

  void tick() {
    cluster.tick();
    ++now;
  }
  bool caught_up(std::uint64_t id) {
    return cluster.node(id).applied() == cluster.node(cluster.leader()).applied();
  }

  Cluster cluster;
  std::set<std::uint64_t> refusing;
  std::vector<std::uint64_t> begun;  // ticks of the first chunks, to any node
  std::uint64_t now = 0;

 private:
  bool is_refused(const Packet& packet) {
    const auto* chunk = std::get_if<SnapshotChunk>(&packet.body);
    if (chunk == nullptr) return false;
    if (chunk->offset == 0) begun.push_back(now);
    if (!refusing.contains(packet.to.value)) return false;
    if (chunk->offset == 0) {
      cluster.wire.push_back(
          {packet.to, packet.from, SnapshotAck{chunk->transfer, 0, false, true, "no room"}});
    }
    return true;
  }
};

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
  b.write(5);  // nothing else waits for the transfer
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

TEST_CASE("a leader that changes in the middle leaves nothing behind (64)") {
  Behind b;
  int seen = 0;
  b.cluster.keep = [&](const Packet& packet) { return is_chunk(packet) && ++seen > 5; };
  b.cluster.heal();
  REQUIRE(b.cluster.until([&] { return seen > 5; }));
  const std::uint64_t old = b.cluster.leader();
  const AdminAnswer moved = b.cluster.transfer(old, old == 1 ? 2u : 1u);
  REQUIRE(b.cluster.until([&] { return moved->ok(); }));
  b.cluster.deliver_kept();  // the old leader's chunks come late
  int late = 0;
  b.cluster.keep = [&](const Packet& packet) {
    late += is_chunk(packet) && packet.from.value == old;
    return false;
  };
  b.require_equal();
  b.cluster.tick(30);
  CHECK(late == 0);  // it sends no more of them
}

TEST_CASE("a node that refuses snapshots is sent them ever less often, until it takes one (96)") {
  Refusals test(3, {3});
  test.refusing = {3};
  while (test.begun.size() < 6) test.tick();
  std::vector<std::uint64_t> gaps;
  for (std::size_t i = 1; i < test.begun.size(); ++i) {
    gaps.push_back(test.begun[i] - test.begun[i - 1]);
  }
  for (std::size_t i = 1; i < gaps.size(); ++i) CHECK(gaps[i] >= gaps[i - 1] * 3 / 2);
  CHECK(gaps[0] <= 2 * election_ticks);
  // The pause between them is bounded.
  for (int i = 0; i < 1000; ++i) test.tick();
  CHECK(test.begun.size() > 8);
  CHECK(test.begun.size() < 20);
  test.refusing.clear();
  REQUIRE(test.cluster.until([&] { return test.caught_up(3); }));
}

TEST_CASE("a node that refused a snapshot and was away is sent it at once") {
  Refusals test(3, {3});
  test.refusing = {3};
  while (test.begun.size() < 7) test.tick();
  test.refusing.clear();
  for (const std::uint64_t id : {1, 2}) test.cluster.at(id).transport->broken = {{3}};
  test.tick();
  for (const std::uint64_t id : {1, 2}) test.cluster.at(id).transport->broken.clear();
  const std::uint64_t back = test.now;
  while (!test.caught_up(3)) test.tick();
  CHECK(test.now - back < 4 * election_ticks);
}

TEST_CASE("a node that refuses snapshots keeps no other waiting for its own") {
  Refusals test(7, {5, 6, 7});
  test.refusing = {5, 6};
  while (!test.caught_up(7)) test.tick();
  for (const std::uint64_t id : {5, 6}) CHECK_FALSE(test.caught_up(id));
  CHECK(test.now < 10 * election_ticks);
  test.refusing.clear();
  for (const std::uint64_t id : {5, 6}) {
    REQUIRE(test.cluster.until([&] { return test.caught_up(id); }));
  }
}

TEST_CASE("a receiver that dies after an install and before it has said so is sent no second one") {
  Refusals test(3, {3});
  test.cluster.keep = [&test](const Packet& packet) {
    const auto* ack = std::get_if<SnapshotAck>(&packet.body);
    return packet.from.value == 3 &&
           ((ack != nullptr && ack->done) || !test.cluster.at(3).installed.empty());
  };
  REQUIRE(test.cluster.until([&] { return !test.cluster.at(3).installed.empty(); }));
  test.cluster.crash(3);
  std::size_t begun = 0;
  test.cluster.keep = [&](const Packet& packet) {
    const auto* chunk = std::get_if<SnapshotChunk>(&packet.body);
    if (chunk != nullptr && chunk->offset == 0) ++begun;
    return false;
  };
  test.cluster.restart(3);
  test.cluster.write(1);
  REQUIRE(test.cluster.until([&] { return test.caught_up(3); }));
  CHECK(begun == 0);
}

}  // namespace
}  // namespace iris::test
