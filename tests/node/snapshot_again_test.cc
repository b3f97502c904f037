// Snapshots that did not go well: when they are sent again, and whom that keeps waiting.
#include <algorithm>
#include <set>

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

const std::uint64_t election_ticks = tiny().raft.election_ticks;

// Some of the nodes need a snapshot; those that refuse do so as soon as one begins.
class Again {
 public:
  Again(std::uint64_t nodes, const std::set<std::uint64_t>& behind) : cluster(tiny()) {
    cluster.form(nodes);
    for (const std::uint64_t id : behind) cluster.isolate(id);
    for (int i = 0; i < 60; ++i) write();
    cluster.keep = [this](const Packet& packet) { return hear(packet); };
    cluster.heal();
  }

  void write() {
    const WriteAnswer wrote = cluster.set(cluster.wait_for_leader(), "k", std::string(40, 'x'));
    REQUIRE(cluster.until([&] { return wrote->ok(); }));
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
  std::vector<std::uint64_t> begun;  // at which ticks, whoever it was for
  std::uint64_t now = 0;

 private:
  bool hear(const Packet& packet) {
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

}  // namespace

TEST_CASE("who refuses a snapshot is sent it ever less often, until it takes it (96)") {
  Again again(3, {3});
  again.refusing = {3};
  while (again.begun.size() < 6) again.tick();
  std::vector<std::uint64_t> gaps;
  for (std::size_t i = 1; i < again.begun.size(); ++i) {
    gaps.push_back(again.begun[i] - again.begun[i - 1]);
  }
  for (std::size_t i = 1; i < gaps.size(); ++i) CHECK(gaps[i] >= gaps[i - 1] * 3 / 2);
  CHECK(gaps[0] <= 2 * election_ticks);
  // Not for ever: the time between them is bounded.
  for (int i = 0; i < 1000; ++i) again.tick();
  CHECK(again.begun.size() > 8);
  CHECK(again.begun.size() < 20);
  again.refusing.clear();
  REQUIRE(again.cluster.until([&] { return again.caught_up(3); }));
}

TEST_CASE("who refused a snapshot and was away is sent it at once") {
  Again again(3, {3});
  again.refusing = {3};
  while (again.begun.size() < 7) again.tick();
  again.refusing.clear();
  for (const std::uint64_t id : {1, 2}) again.cluster.at(id).transport->broken = {{3}};
  again.tick();
  for (const std::uint64_t id : {1, 2}) again.cluster.at(id).transport->broken.clear();
  const std::uint64_t back = again.now;
  while (!again.caught_up(3)) again.tick();
  CHECK(again.now - back < 4 * election_ticks);
}

TEST_CASE("who refuses a snapshot keeps nobody else waiting for theirs") {
  Again again(7, {5, 6, 7});
  again.refusing = {5, 6};
  while (!again.caught_up(7)) again.tick();
  for (const std::uint64_t id : {5, 6}) CHECK_FALSE(again.caught_up(id));
  CHECK(again.now < 10 * election_ticks);
  again.refusing.clear();
  for (const std::uint64_t id : {5, 6}) {
    REQUIRE(again.cluster.until([&] { return again.caught_up(id); }));
  }
}

TEST_CASE("a receiver that dies after an install and before it has said so is sent no second one") {
  Again again(3, {3});
  again.cluster.keep = [&again](const Packet& packet) {
    const auto* ack = std::get_if<SnapshotAck>(&packet.body);
    return packet.from.value == 3 &&
           ((ack != nullptr && ack->done) || !again.cluster.at(3).installed.empty());
  };
  REQUIRE(again.cluster.until([&] { return !again.cluster.at(3).installed.empty(); }));
  again.cluster.crash(3);
  std::size_t begun = 0;
  again.cluster.keep = [&](const Packet& packet) {
    const auto* chunk = std::get_if<SnapshotChunk>(&packet.body);
    if (chunk != nullptr && chunk->offset == 0) ++begun;
    return false;
  };
  again.cluster.restart(3);
  again.write();
  REQUIRE(again.cluster.until([&] { return again.caught_up(3); }));
  CHECK(begun == 0);
}

}  // namespace iris::test
