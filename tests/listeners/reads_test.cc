// Reads of the store for streams.
#include "tests/listeners/fixture.h"

namespace iris::testing {
namespace {

TEST_CASE("a read for a stream that is gone is left out") {
  Fixture test;
  test.cluster.subscribe("one", "s");
  test.node.settle();
  std::vector<RecordedStream> streams(20);
  for (RecordedStream& stream : streams) {  // each takes over from the one before it
    REQUIRE(test.node.listeners->open({"one"}, stream));
    test.node.pass_barriers();
  }
  std::size_t steps = 0;
  while (test.node.store->run(sim::Lane::read)) ++steps;
  CHECK(steps == 2 * (test.node.options.reads_max + 1));  // each read, and the news of it
  test.cluster.set("s", "k", "v");
  CHECK(test.settle(streams.back()) == Texts{"s/k=v@2"});
}

}  // namespace
}  // namespace iris::testing
