// Updates that are made from log entries.
#include "tests/listeners/fixture.h"

namespace iris::testing {
namespace {

TEST_CASE("a large update is shared by all that replay it, a small one is made for each") {
  Fixture test;
  std::vector<RecordedStream> streams(10);
  for (std::size_t i = 0; i < streams.size(); ++i) {
    test.cluster.subscribe(std::to_string(i), "s");
  }
  const std::uint64_t behind = test.cluster.last();
  test.cluster.set("s", "large", std::string(16u << 10, 'g'));
  test.cluster.set("s", "small", std::string((16u << 10) - 1, 's'));
  for (std::size_t i = 0; i < streams.size(); ++i) {
    streams[i].limited = true;
    streams[i].credit = 2;
    test.listen(streams[i], {std::to_string(i), behind});
  }
  for (const RecordedStream& stream : streams) {
    REQUIRE(stream.updates.size() == 2);
    CHECK(stream.updates[0] == streams[0].updates[0]);
    if (&stream != &streams[0]) CHECK(stream.updates[1] != streams[0].updates[1]);
  }
}

}  // namespace
}  // namespace iris::testing
