// What streams cost a node, in work and in memory, and whom they make wait.
#include <algorithm>

#include "tests/listeners/fixture.h"

namespace iris::testing {
namespace {

TEST_CASE("however much is unsubscribed, a queue is gone through once, when it is written") {
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
  // What came in between is not missed, and what was subscribed anew begins anew.
  test.cluster.subscribe("one", "s", "7");  // 300
  test.cluster.set("s", "7", "w");          // 301
  test.node.settle();
  stream.limited = false;
  test.read(stream, id, 1);
  CHECK(test.settle(stream) == Texts{"s/0=v@101", "s/1=v@102", "s/99=v@200", "s/7=w@301"});
  CHECK(test.node.listeners->status().queued_bytes == 0);
}

TEST_CASE("who replays a great update shares it with all who do, and a small one is their own") {
  Fixture test;
  std::vector<RecordedStream> streams(10);
  for (std::size_t i = 0; i < streams.size(); ++i) {
    test.cluster.subscribe(std::to_string(i), "s");
  }
  const std::uint64_t behind = test.cluster.last();
  test.cluster.set("s", "great", std::string(16u << 10, 'g'));
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

TEST_CASE("a great update waits for its turn, and a small one leaves when there is room") {
  Fixture test;
  test.cluster.subscribe("one", "s");
  RecordedStream stream;
  stream.limited = true;
  stream.credit = 1;
  const auto id = test.listen(stream);
  const std::size_t great = (16u << 10) - Update::overhead_bytes - 2;  // s, k
  for (const std::size_t bytes : {std::size_t{1}, great - 1, great}) {
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
  CHECK(written() <= 12);  // nobody here keeps the wire form, so each pays for it
  test.node.settle();
  CHECK(written() == 40);
}

TEST_CASE("who is gone is not read for") {
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

TEST_CASE("many listeners of single keys of a removed source are looked up in a few reads") {
  Fixture test;
  std::vector<RecordedStream> streams(50);
  for (std::size_t i = 0; i < streams.size(); ++i) {
    const std::string session = std::to_string(i);
    test.cluster.subscribe(session, "s", session);
    test.listen(streams[i], {session});
  }
  test.cluster.set("s", "7", "v");
  test.node.settle();
  test.cluster.remove_source("s");
  test.node.give(test.cluster.last());
  int reads = 0;
  do {
    while (test.node.store->run(sim::Lane::data)) continue;
    while (test.node.pump()) continue;
    while (test.node.store->run(sim::Lane::read)) ++reads;
  } while (test.node.pumps > 0);
  CHECK(reads <= 8);  // the first alone, then all others; and the news of each
  test.node.settle();
  CHECK(streams[7].take() == Texts{"s/7=v@51", "s/7-@52"});
  CHECK(streams[8].take().empty());
}

}  // namespace
}  // namespace iris::testing
