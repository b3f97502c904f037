// The work of one pump().
#include <algorithm>

#include "tests/listeners/fixture.h"

namespace iris::testing {
namespace {

TEST_CASE("one turn puts so many bytes into their wire form and no more") {
  Fixture test;
  std::vector<RecordedStream> streams(40);
  for (std::size_t i = 0; i < streams.size(); ++i) {
    test.cluster.subscribe(std::to_string(i), "s");
    test.listen(streams[i], {std::to_string(i)});
  }
  const auto written = [&] {
    return std::count_if(streams.begin(), streams.end(),
                         [](const RecordedStream& stream) { return !stream.updates.empty(); });
  };
  test.cluster.set("s", "k", std::string(1u << 20, 'v'));
  test.node.give(test.cluster.last());
  test.node.store->settle();
  REQUIRE(test.node.pump());
  CHECK(written() > 0);
  CHECK(written() <= 12);  // no stream here keeps the wire form, so each costs its encoding
  test.node.settle();
  CHECK(written() == 40);
}

}  // namespace
}  // namespace iris::testing
