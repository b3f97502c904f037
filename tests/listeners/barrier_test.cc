// The beginning of a stream: it waits for its node.
#include "tests/listeners/fixture.h"

namespace iris::testing {
namespace {

TEST_CASE("a Listen at a node that cannot reach a quorum ends with unavailable") {
  Fixture test;
  RecordedStream stream;
  REQUIRE(test.node.listeners->open({"one"}, stream));
  test.node.fail_barriers();
  CHECK(stream.end == StreamEnd::unavailable);
  CHECK(stream.text == "no leader is known");
}

TEST_CASE("a resume waits for this node to have what others had (hazard 86)") {
  Fixture test;
  test.cluster.subscribe("one", "s");
  test.cluster.set("s", "k", "a");  // 2
  test.cluster.set("s", "k", "b");  // 3: seen at another node
  RecordedStream stream;
  REQUIRE(test.node.listeners->open({"one", 3}, stream));
  test.node.give(1);
  test.node.store->settle();
  test.node.pass_barriers();
  while (test.node.pump()) continue;
  CHECK(stream.updates.empty());
  CHECK_FALSE(stream.end);
  test.cluster.set("s", "k", "c");  // 4
  CHECK(test.settle(stream) == Texts{"s/k=c@4"});
}

}  // namespace
}  // namespace iris::testing
