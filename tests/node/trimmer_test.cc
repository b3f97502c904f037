// The length of the log: its limits, and what holds it back.
#include "tests/node/behind.h"

#include "tests/catch.h"  // last: its CHECK must not stand in for raft/check.h's

namespace iris::test {
namespace {

std::uint64_t length(Cluster& cluster, std::uint64_t id) {
  const raft::CoreStatus status = cluster.node(id).core().status();
  return status.last.value + 1 - status.first.value;
}

TEST_CASE("the log is kept within its entries and its bytes (66, 112)") {
  NodeOptions options = Cluster::small();
  SECTION("entries") { options.log_entries_max = 32; }
  SECTION("bytes") {
    const SetValue written{"source", "k", std::string(10, 'x'), std::nullopt};
    options.log_bytes_max = 32 * (encode(written).size() + raft::entry_overhead_bytes);
  }
  Cluster cluster(options);
  cluster.form(3);
  for (int i = 0; i < 20; ++i) {
    cluster.write(10);
    cluster.tick(3);
    for (std::uint64_t id : {1, 2, 3}) CHECK(length(cluster, id) <= 64);
  }
  CHECK(length(cluster, 1) > 4);  // no more is trimmed than has to be
  for (std::uint64_t id : {1, 2, 3}) {
    const auto& trimmed = cluster.at(id).trimmed;
    REQUIRE_FALSE(trimmed.empty());
    CHECK(trimmed.back() == cluster.node(id).floor());
    CHECK(cluster.node(id).core().entry(trimmed.back()) == nullptr);
    CHECK(cluster.node(id).core().entry(trimmed.back().next()) != nullptr);
    // The data that contains the trimmed entries was on disk before (hazard 65).
    CHECK(cluster.disk(id).durable_data().applied.index >= trimmed.back());
  }
}

TEST_CASE("a node whose disk is nearly full keeps no log that nobody needs (96)") {
  NodeOptions options = Cluster::small();
  options.log_entries_max = 64;
  options.disk_reserve_bytes = 1'000'000;
  Cluster cluster(options);
  cluster.form(3);
  cluster.write(40);
  cluster.tick(10);
  const std::uint64_t before = length(cluster, 2);
  CHECK(before > 40);
  cluster.disk(2).profile.capacity_bytes = cluster.disk(2).used_bytes() + 999'999;
  cluster.tick(50);
  REQUIRE(cluster.node(2).status().disk_low);
  CHECK(length(cluster, 2) == 0);
  CHECK(length(cluster, 1) >= before);
  cluster.disk(2).profile.capacity_bytes = UINT64_MAX;
  cluster.tick(300);
  REQUIRE_FALSE(cluster.node(2).status().disk_low);
  cluster.write(20);
  cluster.tick(10);
  CHECK(length(cluster, 2) >= 20);
}

TEST_CASE("nothing is trimmed that is not applied (65)") {
  NodeOptions options = Cluster::small();
  options.log_entries_max = 8;
  Cluster cluster(options);
  cluster.form(1);
  cluster.at(1).hold_data = true;
  const raft::Index floor = cluster.node(1).floor();
  for (int i = 0; i < 50; ++i) cluster.set(1, "k", "v");
  cluster.tick(20);
  CHECK(cluster.node(1).floor() == floor);
  cluster.at(1).hold_data = false;
  cluster.tick(20);
  CHECK(cluster.node(1).floor() > floor);
}

TEST_CASE("a follower that is a little behind holds the log back, up to twice its limit (66)") {
  NodeOptions options = Cluster::small();
  options.log_entries_max = 32;
  Cluster cluster(options);
  cluster.form(3);
  cluster.at(3).hold_log = true;  // alive, but acknowledges nothing
  const raft::Index match = cluster.node(3).core().status().stable;
  cluster.write(45);
  cluster.tick(5);
  CHECK(cluster.node(1).floor() <= match);
  CHECK(length(cluster, 1) > 32);
  cluster.write(45);
  cluster.tick(5);
  CHECK(cluster.node(1).floor() > match);
  CHECK(length(cluster, 1) <= 64);
}

TEST_CASE("a dead follower does not hold the log back (66, 120)") {
  NodeOptions options = Cluster::small();
  options.log_entries_max = 32;
  Cluster cluster(options);
  cluster.form(3);
  cluster.crash(3);
  cluster.tick(15);
  for (int i = 0; i < 10; ++i) {
    cluster.write(8);
    cluster.tick(3);
    CHECK(length(cluster, 1) <= 45);
  }
}

TEST_CASE("the log is held back for a snapshot on its way, up to eight times its limit (66)") {
  Cluster cluster(tiny());
  cluster.form(3);
  cluster.isolate(3);
  const auto write = [&](int count) {
    cluster.write(count);
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
    "the log is held back for a stream that is sent a state, up to four times its limit (87)") {
  Cluster cluster(tiny());
  cluster.form(1);
  const auto write = [&](int count) {
    cluster.write(count);
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

}  // namespace
}  // namespace iris::test
