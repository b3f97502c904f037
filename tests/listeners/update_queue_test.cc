// The updates that wait for one stream.
#include "tests/listeners/fixture.h"

namespace iris::testing {
namespace {

TEST_CASE("Unsubscribe stops what is still queued, and nothing else") {
  Fixture test;
  test.cluster.subscribe("one", "s");
  test.cluster.subscribe("one", "s", "a");
  test.cluster.subscribe("one", "t");
  RecordedStream stream;
  stream.limited = true;
  stream.credit = 1;
  const auto id = test.listen(stream);
  test.cluster.set("s", "a", "1");  // 4: written
  test.cluster.set("s", "a", "2");  // 5
  test.cluster.set("s", "b", "3");  // 6
  test.cluster.set("t", "k", "4");  // 7
  test.node.settle();
  test.cluster.unsubscribe("one", "s");
  test.node.settle();
  stream.limited = false;
  test.read(stream, id, 1);
  CHECK(test.settle(stream) == Texts{"s/a=1@4", "s/a=2@5", "t/k=4@7"});
  CHECK(test.node.listeners->status().queued_bytes == 0);
}

TEST_CASE("an Unsubscribe spares the update that another is held back for") {
  Fixture test;
  test.cluster.subscribe("one", "s");
  test.cluster.subscribe("one", "t");
  RecordedStream stream;
  stream.limited = true;
  stream.credit = 1;
  const auto id = test.listen(stream);
  test.cluster.set("s", "k", "1");  // 3: written, and told that another follows
  test.cluster.set("t", "k", "2");  // 4
  test.cluster.set("t", "k", "3");  // 5
  test.node.settle();
  CHECK(stream.more_followed);
  test.cluster.unsubscribe("one", "t");
  test.node.settle();
  stream.limited = false;
  test.read(stream, id, 1);
  CHECK(test.settle(stream) == Texts{"s/k=1@3", "t/k=2@4"});
  CHECK_FALSE(stream.more_followed);
}

TEST_CASE("a queue is gone through once, when it is written, however many subscriptions ended") {
  Fixture test;
  for (int i = 0; i < 100; ++i) test.cluster.subscribe("one", "s", std::to_string(i));
  RecordedStream stream;
  stream.limited = true;
  stream.credit = 1;
  const auto id = test.listen(stream);
  for (int i = 0; i < 100; ++i) test.cluster.set("s", std::to_string(i), "v");  // 101 to 200
  test.node.settle();
  const std::size_t queued = test.node.listeners->status().queued_bytes;
  for (int i = 0; i < 99; ++i) test.cluster.unsubscribe("one", "s", std::to_string(i));
  test.node.settle();
  CHECK(test.node.listeners->status().queued_bytes == queued);
  // No update in between is missed; a subscription that is made again begins again.
  test.cluster.subscribe("one", "s", "7");  // 300
  test.cluster.set("s", "7", "w");          // 301
  test.node.settle();
  stream.limited = false;
  test.read(stream, id, 1);
  CHECK(test.settle(stream) == Texts{"s/0=v@101", "s/1=v@102", "s/99=v@200", "s/7=w@301"});
  CHECK(test.node.listeners->status().queued_bytes == 0);
}

TEST_CASE("a large update waits for its turn, a small one is written at once") {
  Fixture test;
  test.cluster.subscribe("one", "s");
  RecordedStream stream;
  stream.limited = true;
  stream.credit = 1;
  const auto id = test.listen(stream);
  const std::size_t large = (16u << 10) - Update::overhead_bytes - 2;  // s, k
  for (const std::size_t bytes : {std::size_t{1}, large - 1, large}) {
    test.cluster.set("s", "k", std::string(bytes, 'v'));
  }
  test.node.settle();
  REQUIRE(stream.updates.size() == 1);
  const auto written_at_once = [&] {
    stream.must_wait = false;
    stream.credit = 1;
    const std::size_t before = stream.updates.size();
    test.node.listeners->writable(id);
    const bool at_once = stream.updates.size() > before;
    test.node.settle();
    CHECK(stream.updates.size() == before + 1);
    return at_once;
  };
  CHECK(written_at_once());
  CHECK_FALSE(written_at_once());
}

}  // namespace
}  // namespace iris::testing
