// Streams that have caught up: updates, full queues, heartbeats.
#include "tests/listeners/fixture.h"

namespace iris::testing {
namespace {

TEST_CASE("a live update is one object for all listeners") {
  Fixture test;
  test.cluster.subscribe("one", "s");
  test.cluster.subscribe("two", "s", "k");
  RecordedStream one;
  RecordedStream two;
  test.listen(one);
  test.listen(two, {"two"});
  test.cluster.set("s", "k", "v");
  test.node.settle();
  REQUIRE(one.updates.size() == 1);
  CHECK(one.updates[0] == two.updates[0]);
  CHECK(one.updates[0]->entry == test.cluster.log[2]);  // no copy of the value
}

TEST_CASE("a full queue is served from the log tail: bounded, and complete (hazard 88)") {
  Fixture test;
  test.node.options.buffer_bytes = 2'000;
  test.node.restart();
  test.cluster.subscribe("one", "s");
  test.cluster.subscribe("two", "s");
  RecordedStream stopped;
  RecordedStream reading;
  stopped.limited = true;
  stopped.credit = 1;
  const auto id = test.listen(stopped);
  test.listen(reading, {"two"});
  Texts expected;
  for (int i = 0; i < 200; ++i) {
    const auto outcome = test.cluster.set("s", "k", std::to_string(i));
    expected.push_back("s/k=" + std::to_string(i) + "@" + std::to_string(outcome.revision));
    test.node.settle();
    CHECK(test.node.listeners->status().queued_bytes <= 2'000);
  }
  CHECK(reading.take() == expected);
  CHECK(stopped.updates.size() == 1);
  CHECK(test.node.listeners->status().overflows == 1);
  stopped.limited = false;
  test.read(stopped, id, 1);
  CHECK(test.settle(stopped) == expected);
  test.cluster.set("s", "k", "live");
  CHECK(test.settle(stopped) == Texts{"s/k=live@203"});
  CHECK(test.node.listeners->status().queued_bytes == 0);
}

TEST_CASE("the queue takes what fits and one over makes it full; an empty one takes any update") {
  Fixture test;
  const std::size_t cost = Update::overhead_bytes + 3;  // s, k, v
  test.node.options.buffer_bytes = 4 * cost;
  test.node.restart();
  test.cluster.subscribe("one", "s");
  RecordedStream stream;
  stream.limited = true;
  const auto id = test.listen(stream);
  stream.must_wait = false;
  stream.credit = 1;
  for (int i = 0; i < 5; ++i) {  // one is written, four wait
    test.cluster.set("s", "k", "v");
    test.node.settle();
  }
  CHECK(test.node.listeners->status().queued_bytes == 4 * cost);
  CHECK(test.node.listeners->status().overflows == 0);
  test.cluster.set("s", "k", "v");
  test.node.settle();
  CHECK(test.node.listeners->status().overflows == 1);
  test.read(stream, id, 10);
  CHECK(stream.updates.size() == 6);
  const std::string large(10 * cost, 'g');
  test.cluster.set("s", "k", large);
  test.node.settle();
  test.read(stream, id, 1);
  CHECK(stream.updates.back()->value == large);
  CHECK(test.node.listeners->status().overflows == 1);
}

TEST_CASE("heartbeats come on a quiet stream, if asked for, never past an update (hazard 90)") {
  Fixture test;
  test.cluster.subscribe("one", "s");
  test.cluster.subscribe("two", "s");
  RecordedStream plain;
  RecordedStream beating;
  const auto id = test.listen(beating, {"one", 0, false, 1000});
  test.listen(plain, {"two"});
  test.cluster.set("other", "k", "v");  // 3
  test.node.tick(100);                  // the first comes at once: from there it can go on
  CHECK(beating.take() == Texts{"bookmark@3"});
  test.node.tick(800);
  CHECK(beating.take().empty());
  test.node.tick(200);
  CHECK(beating.take() == Texts{"bookmark@3"});
  test.cluster.append(raft::NoOp{});
  test.node.tick(500);
  test.cluster.set("s", "k", "v");  // 5
  test.node.tick(600);
  CHECK(beating.take() == Texts{"s/k=v@5"});
  test.node.tick(500);
  CHECK(beating.take() == Texts{"bookmark@5"});

  beating.limited = true;  // it stops reading
  beating.credit = 1;
  test.cluster.set("s", "k", "w");  // 6: taken
  test.cluster.set("s", "k", "x");  // 7: waits
  test.node.settle();
  test.node.tick(5000);
  CHECK(beating.take() == Texts{"s/k=w@6"});
  beating.limited = false;
  test.read(beating, id, 1);
  CHECK(test.settle(beating) == Texts{"s/k=x@7"});
  CHECK(plain.take() == Texts{"s/k=v@5", "s/k=w@6", "s/k=x@7"});
}

TEST_CASE("a heartbeat is not more frequent than the least interval") {
  Fixture test;
  RecordedStream stream;
  test.listen(stream, {"one", 0, false, 1});
  test.node.tick(1000);
  CHECK(stream.updates.size() >= 9);
  CHECK(stream.updates.size() <= 20);
}

}  // namespace
}  // namespace iris::testing
