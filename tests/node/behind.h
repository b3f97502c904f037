// Behind: a cluster in which one node needs a snapshot; and what else tests of snapshots share.
// One thread, as Cluster.
#pragma once

#include <string>
#include <utility>

#include "tests/node/cluster.h"

#include "tests/catch.h"  // last: its CHECK must not stand in for raft/check.h's

namespace iris::test {

// A log and chunks so small that a few writes make a snapshot necessary.
inline NodeOptions tiny() {
  NodeOptions options = Cluster::small();
  options.log_entries_max = 10;
  options.snapshot_chunk_bytes = 256;
  options.snapshot_window_bytes = 1024;
  return options;
}

inline bool is_chunk(const Packet& packet) {
  return std::holds_alternative<SnapshotChunk>(packet.body);
}

// The data of a node as it is now, as the only chunk of a transfer.
inline SnapshotChunk whole_snapshot(Cluster& cluster, std::uint64_t id) {
  const auto source = cluster.at(id).store->pin();
  SnapshotChunk chunk;
  chunk.transfer = 7;
  chunk.mark = source->mark();
  chunk.last = true;
  source->read(1u << 20, [&](Result<std::string> bytes) { chunk.bytes = std::move(*bytes); });
  cluster.settle();
  REQUIRE_FALSE(chunk.bytes.empty());
  return chunk;
}

// Three nodes. Node 3 was away while so much was written that it needs a snapshot.
struct Behind {
  Cluster cluster;
  int written = 0;

  explicit Behind(NodeOptions options = tiny()) : cluster(std::move(options)) {
    cluster.form(3);
    leave_behind();
  }
  void write(int count) {
    for (; count > 0; --count) {
      const std::uint64_t leader = cluster.wait_for_leader();
      const WriteAnswer wrote =
          cluster.set(leader, "key-" + std::to_string(written++), std::string(40, 'x'));
      REQUIRE(cluster.until([&] { return wrote->ok(); }));
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

}  // namespace iris::test
