// Listen streams from end to end: their updates, their beginnings and ends.
#include <memory>

#include "tests/listeners/fixture.h"

namespace iris::testing {
namespace {

TEST_CASE("the old pattern: Connect, Listen, Subscribe; updates come until Unsubscribe") {
  Fixture test;
  RecordedStream stream;
  test.cluster.set("colors", "sky", "blue");
  test.listen(stream);
  test.cluster.set("colors", "sky", "grey");
  test.cluster.subscribe("one", "colors");
  test.cluster.set("colors", "sky", "black");  // 4
  test.cluster.set("other", "sky", "black");
  test.cluster.set("colors", "sea", "");  // 6
  test.cluster.remove("colors", "sky");   // 7
  test.cluster.set("colors", "sea", "");  // 8: the same again is an update again
  CHECK(test.settle(stream) ==
        Texts{"colors/sky=black@4", "colors/sea=@6", "colors/sky-@7", "colors/sea=@8"});
  test.cluster.unsubscribe("one", "colors");
  test.cluster.set("colors", "sky", "white");
  CHECK(test.settle(stream).empty());
  CHECK_FALSE(stream.end);
}

TEST_CASE("nothing falls between Subscribe and Listen (hazard 85)") {
  Fixture test;
  test.cluster.set("s", "k", "before");
  test.cluster.subscribe("one", "s");
  test.cluster.set("s", "k", "between");  // 3
  test.cluster.subscribe("one", "t", "k");
  test.cluster.set("t", "k", "1");  // 5
  test.cluster.set("t", "x", "2");
  RecordedStream stream;
  test.listen(stream);
  test.cluster.set("s", "k", "after");  // 7
  CHECK(test.settle(stream) == Texts{"s/k=between@3", "t/k=1@5", "s/k=after@7"});
}

TEST_CASE("a source and a key in it both subscribed: each update once (old fault 14)") {
  Fixture test;
  test.cluster.subscribe("one", "s", "k");  // 1
  test.cluster.set("s", "k", "a");          // 2: by the key alone
  test.cluster.subscribe("one", "s");       // 3
  test.cluster.set("s", "k", "b");          // 4
  test.cluster.set("s", "x", "c");          // 5
  RecordedStream replayed;
  test.listen(replayed);
  const Texts expected{"s/k=a@2", "s/k=b@4", "s/x=c@5"};
  CHECK(replayed.take() == expected);
  test.cluster.set("s", "k", "d");  // 6
  test.cluster.unsubscribe("one", "s");
  test.cluster.set("s", "x", "e");
  test.cluster.set("s", "k", "f");  // 9
  CHECK(test.settle(replayed) == Texts{"s/k=d@6", "s/k=f@9"});
}

TEST_CASE("a second Listen ends the first with aborted and takes over (old fault 17)") {
  Fixture test;
  test.cluster.subscribe("one", "s");
  RecordedStream first;
  RecordedStream second;
  const auto id = test.listen(first);
  test.cluster.set("s", "k", "a");  // 2
  test.node.settle();
  test.listen(second, {"one", 2});
  CHECK(first.end == StreamEnd::aborted);
  CHECK(first.text == "another Listen took this session over");
  test.cluster.set("s", "k", "b");  // 3
  test.node.settle();
  CHECK(first.take() == Texts{"s/k=a@2"});
  CHECK(second.take() == Texts{"s/k=b@3"});
  test.node.listeners->cancelled(id);  // too late: not the second's end
  test.node.listeners->writable(id);
  test.cluster.set("s", "k", "c");
  CHECK(test.settle(second) == Texts{"s/k=c@4"});
  CHECK(test.node.served == std::set<std::string>{"one"});
}

TEST_CASE("a client that went away is not called again, in whatever stage it was") {
  for (int steps = 0; steps < 12; ++steps) {
    Fixture test;
    for (int i = 0; i < 5; ++i) test.cluster.set("s", std::to_string(i), "v");
    test.cluster.subscribe("one", "s");
    test.cluster.remove_source("s");
    test.node.give(test.cluster.last());
    test.node.store->settle();
    auto stream = std::make_unique<RecordedStream>();
    const auto id =
        test.node.listeners->open({"one", steps % 2 == 0 ? 6u : 0u, steps % 2 == 1}, *stream);
    REQUIRE(id);
    test.node.pass_barriers();
    for (int step = 0; step < steps; ++step) {
      if (!test.node.pump()) test.node.store->run(sim::Lane::read);
    }
    test.node.listeners->cancelled(*id);
    stream.reset();
    test.node.settle();
    CHECK(test.node.listeners->status().listeners == 0);
    CHECK(test.node.listeners->status().queued_bytes == 0);
  }
}

TEST_CASE("answers that come after the end of Listeners are ignored") {
  Fixture test;
  test.cluster.subscribe("one", "s");
  test.node.give(1);
  test.node.store->settle();
  RecordedStream stream;
  REQUIRE(test.node.listeners->open({"one", 0, true}, stream));
  test.node.pass_barriers();
  test.node.listeners.reset();
  test.node.store->settle();
  CHECK(stream.updates.empty());
  CHECK_FALSE(stream.end);
}

TEST_CASE("streams are limited: at the limit and one over; one that is taken over counts no more") {
  Fixture test;
  test.node.options.listeners_max = 2;
  test.node.restart();
  RecordedStream one;
  RecordedStream two;
  RecordedStream three;
  test.listen(one, {"one"});
  test.listen(two, {"two"});
  const auto refused = test.node.listeners->open({"three"}, three);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == Errc::limit);
  CHECK(refused.error().text ==
        "this node serves 2 Listen streams, which is its limit (-max-listeners)");
  test.listen(three, {"two"});
  CHECK(two.end == StreamEnd::aborted);
}

TEST_CASE("a node that stops ends its streams with unavailable, and takes no more") {
  Fixture test;
  RecordedStream one;
  RecordedStream two;
  test.listen(one, {"one"});
  REQUIRE(test.node.listeners->open({"two"}, two));
  test.node.listeners->stop();
  CHECK(one.end == StreamEnd::unavailable);
  CHECK(two.end == StreamEnd::unavailable);
  RecordedStream three;
  const auto refused = test.node.listeners->open({"three"}, three);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == Errc::unavailable);
  test.node.settle();
}

TEST_CASE("a node without a leader promises nothing, and ends streams that asked (hazard 94)") {
  Fixture test;
  RecordedStream beating;
  RecordedStream plain;
  test.listen(beating, {"one", 0, false, 200});
  test.listen(plain, {"two"});
  test.node.tick(400);
  CHECK_FALSE(beating.take().empty());
  test.node.tick(4'900, false);
  CHECK(beating.take().empty());
  CHECK_FALSE(beating.end);
  test.node.tick(200, true);  // just in time
  test.node.tick(4'900, false);
  CHECK_FALSE(beating.end);
  test.node.tick(200, false);
  CHECK(beating.end == StreamEnd::unavailable);
  CHECK_FALSE(plain.end);
}

TEST_CASE("one tick looks at a bounded number of streams, a few ticks at all (hazard 127)") {
  Fixture test;
  constexpr std::size_t streams = 6'000;
  std::vector<RecordedStream> all(streams);
  for (std::size_t i = 0; i < streams; ++i) {
    REQUIRE(test.node.listeners->open({std::to_string(i), 0, false, 100}, all[i]));
  }
  test.node.settle();
  std::uint64_t before = 0;
  for (int i = 0; i < 8; ++i) {
    test.node.tick(10);
    const std::uint64_t delivered = test.node.listeners->status().delivered;
    CHECK(delivered - before <= 2'500);
    before = delivered;
  }
  CHECK(before == streams);
  test.node.tick(1'000);
  for (const RecordedStream& stream : all) CHECK(stream.updates.size() >= 10);
}

}  // namespace
}  // namespace iris::testing
