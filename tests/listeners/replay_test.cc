// Streams that are behind: updates from the log tail.
#include "tests/listeners/fixture.h"

namespace iris::testing {
namespace {

TEST_CASE("a resume goes on exactly after the revision (hazard 86)") {
  Fixture test;
  test.cluster.subscribe("one", "s");
  Texts all;
  for (int i = 0; i < 20; ++i) {
    const auto outcome = test.cluster.set("s", "k", std::to_string(i));
    all.push_back("s/k=" + std::to_string(i) + "@" + std::to_string(outcome.revision));
  }
  for (std::uint64_t after = 1; after <= test.cluster.last(); ++after) {
    RecordedStream stream;
    const auto id = test.listen(stream, {"one", after});
    test.node.listeners->cancelled(id);
    CHECK(stream.take() == Texts(all.begin() + static_cast<std::ptrdiff_t>(after) - 1, all.end()));
  }
}

TEST_CASE("a later subscription is due from then on, also in a resume") {
  Fixture test;
  test.cluster.subscribe("one", "s");  // 1
  test.cluster.set("s", "a", "1");     // 2
  test.cluster.set("t", "a", "1");     // 3
  test.cluster.subscribe("one", "t");  // 4
  test.cluster.set("t", "a", "2");     // 5
  RecordedStream stream;
  test.listen(stream, {"one", 1});
  CHECK(stream.take() == Texts{"s/a=1@2", "t/a=2@5"});
}

}  // namespace
}  // namespace iris::testing
