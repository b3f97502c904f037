// A disk that is nearly full: growth is refused, and goes on by itself.
#include "tests/node/cluster.h"

#include "tests/catch.h"  // last: its CHECK must not stand in for raft/check.h's

namespace iris::test {
namespace {

TEST_CASE("a nearly full disk refuses growth and nothing else, and recovers by itself (96)") {
  NodeOptions options = Cluster::small();
  options.disk_reserve_bytes = 1'000'000;
  Cluster cluster(options);
  cluster.form(3);
  const WriteAnswer before = cluster.set(1, "k", "v");
  cluster.settle();
  REQUIRE(before->ok());
  cluster.disk(1).profile.capacity_bytes = cluster.disk(1).used_bytes() + 999'999;
  cluster.tick(110);
  // Node 2, whose disk has space, forwards its commands to node 1.
  for (std::uint64_t id : {1, 2}) {
    const WriteAnswer grown = cluster.set(id, "k", "w");
    const WriteAnswer subscribed = cluster.submit(id, Subscribe{"S", "source", std::nullopt});
    const WriteAnswer removed = cluster.submit(id, RemoveValue{"source", "absent", std::nullopt});
    const ReadAnswer read = cluster.read(id);
    cluster.settle();
    CHECK(grown->failed(Errc::limit));
    CHECK(grown->text().find("-disk-reserve-bytes") != std::string::npos);
    CHECK(subscribed->failed(Errc::limit));
    CHECK(removed->ok());
    CHECK(read->ok());
  }
  cluster.tick(110);  // meanwhile its log is trimmed, as far as it may be
  // Growth goes on only when an eighth more is free.
  cluster.disk(1).profile.capacity_bytes = cluster.disk(1).used_bytes() + 1'124'999;
  cluster.tick(110);
  const WriteAnswer too_soon = cluster.set(1, "k", "w");
  cluster.settle();
  CHECK(too_soon->failed(Errc::limit));
  CHECK(cluster.node(1).status().disk_low);
  cluster.disk(1).profile.capacity_bytes = cluster.disk(1).used_bytes() + 1'125'000;
  cluster.tick(85);  // and has been for a second
  CHECK(cluster.node(1).status().disk_low);
  cluster.disk(1).profile.capacity_bytes -= 1;
  cluster.tick(15);
  cluster.disk(1).profile.capacity_bytes += 1;
  cluster.tick(85);
  CHECK(cluster.node(1).status().disk_low);
  cluster.tick(25);
  CHECK_FALSE(cluster.node(1).status().disk_low);
  const WriteAnswer after = cluster.set(1, "k", "w");
  cluster.settle();
  CHECK(after->ok());
}

}  // namespace
}  // namespace iris::test
