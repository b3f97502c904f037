// States of what a session is subscribed to, in the place of updates that the log no longer has.
#include <algorithm>

#include "tests/listeners/fixture.h"

namespace iris::testing {
namespace {

TEST_CASE("send_initial: the state, SYNCED, then changes, with no gap (hazard 85)") {
  Fixture test;
  test.node.options.page_rows = 2;
  test.node.restart();
  test.cluster.set("s", "b", "1");
  test.cluster.set("s", "a", "2");
  test.cluster.set("s", "c", "3");
  test.cluster.set("t", "k", "4");
  test.cluster.set("t", "x", "5");
  test.cluster.set("u", "k", "6");
  test.cluster.subscribe("one", "t", "x");  // 7
  test.cluster.subscribe("one", "s");       // 8
  test.cluster.subscribe("one", "s", "a");  // 9
  test.cluster.subscribe("one", "t", "k");  // 10
  test.cluster.subscribe("one", "none");    // 11
  RecordedStream stream;
  test.listen(stream, {"one", 0, true});
  CHECK(stream.take() == Texts{"s/a=2@2", "s/b=1@1", "s/c=3@3", "t/k=4@4", "t/x=5@5", "synced@11"});
  test.cluster.set("s", "a", "7");  // 12
  CHECK(test.settle(stream) == Texts{"s/a=7@12"});
}

TEST_CASE("a state that is ahead of the loop repeats nothing and loses nothing (hazard 85)") {
  Fixture test;
  test.cluster.subscribe("one", "s");
  test.cluster.set("s", "k", "a");  // 2
  RecordedStream stream;
  REQUIRE(test.node.listeners->open({"one", 0, true}, stream));
  test.node.give(2);
  test.node.store->settle();
  test.node.pass_barriers();
  test.cluster.set("s", "k", "b");          // 3
  test.cluster.subscribe("one", "t");       // 4
  test.cluster.set("t", "k", "c");          // 5
  test.cluster.unsubscribe("one", "none");  // 6
  test.node.give(6);
  // 3 is applied and known on the loop; 4 to 6 are applied, which the loop is still to learn.
  for (int step = 0; step < 3; ++step) CHECK(test.node.store->run(sim::Lane::data));
  CHECK(test.node.data().applied.index.value == 6);
  CHECK(test.node.applied_index() == 3);
  while (test.node.store->run(sim::Lane::read)) continue;  // loaded; a state begins
  test.cluster.set("s", "k", "d");                         // 7
  CHECK(test.settle(stream) == Texts{"s/k=b@3", "t/k=c@5", "synced@6", "s/k=d@7"});
}

TEST_CASE(
    "updates that were missed and are trimmed come as a state, after RESYNC (hazards 87 and 88)") {
  Fixture test;
  test.cluster.subscribe("one", "s");       // 1
  test.cluster.subscribe("one", "t", "k");  // 2
  test.cluster.subscribe("one", "t", "x");  // 3
  test.cluster.set("s", "a", "1");          // 4
  test.cluster.set("s", "b", "2");          // 5
  test.cluster.set("t", "k", "3");          // 6
  test.cluster.set("t", "other", "4");      // 7
  test.cluster.remove("s", "a");            // 8
  test.node.settle();
  test.node.trim(6);
  RecordedStream stream;
  test.listen(stream, {"one", 5});
  CHECK(stream.take() == Texts{"resync@8", "s/b=2@5", "t/k=3@6", "synced@8"});
  test.cluster.set("s", "c", "5");  // 9
  CHECK(test.settle(stream) == Texts{"s/c=5@9"});
  RecordedStream edge;
  test.listen(edge, {"one", 6});  // the first that is still known
  CHECK(edge.take() == Texts{"s/a-@8", "s/c=5@9"});
  CHECK(test.node.listeners->status().resyncs == 1);
}

TEST_CASE(
    "an old client whose updates are trimmed gets the rows that changed, and never a marker") {
  Fixture test;
  test.cluster.set("s", "old", "0");        // 1
  test.cluster.subscribe("one", "s");       // 2
  test.cluster.subscribe("one", "t", "k");  // 3
  test.cluster.subscribe("one", "t", "x");  // 4
  test.cluster.set("s", "a", "1");          // 5
  test.cluster.set("t", "x", "2");          // 6
  test.cluster.remove("t", "x");            // 7
  test.cluster.set("t", "k", "3");          // 8
  test.node.settle();
  test.node.trim(8);
  RecordedStream stream;
  test.listen(stream);
  CHECK(stream.take() == Texts{"s/a=1@5", "t/k=3@8", "t/x-@8"});
  test.cluster.set("s", "a", "4");  // 9
  test.node.tick(60'000);
  CHECK(stream.take() == Texts{"s/a=4@9"});
}

TEST_CASE("a full queue whose log tail is gone is served from state (hazard 88)") {
  Fixture test;
  test.node.options.buffer_bytes = 1'000;
  test.node.restart();
  test.cluster.subscribe("one", "s");
  RecordedStream stream;
  stream.limited = true;
  stream.credit = 1;
  const auto id = test.listen(stream, {"one", 1});
  for (int i = 0; i < 50; ++i) test.cluster.set("s", std::to_string(i % 5), std::to_string(i));
  test.node.settle();
  test.node.trim(40);
  stream.limited = false;
  test.read(stream, id, 1);
  test.node.settle();
  const Texts texts = stream.take();
  const auto resync = std::find(texts.begin(), texts.end(), "resync@51");
  REQUIRE(resync != texts.end());
  CHECK(Texts(resync, texts.end()) == Texts{"resync@51", "s/0=45@47", "s/1=46@48", "s/2=47@49",
                                            "s/3=48@50", "s/4=49@51", "synced@51"});
  test.cluster.remove("s", "3");
  CHECK(test.settle(stream) == Texts{"s/3-@52"});
}

TEST_CASE("snapshots that come one after another queue one state, not one each (hazards 88, 91)") {
  Fixture test;
  test.cluster.subscribe("one", "s");
  RecordedStream stream;
  stream.limited = true;
  const auto id = test.listen(stream, {"one", 1});
  test.cluster.set("s", "k", "1");
  test.node.settle();
  stream.credit = 0;
  std::size_t queued = 0;
  for (int i = 0; i < 20; ++i) {
    test.cluster.set("s", "k", "2");
    test.node.install();
    test.node.settle();
    const std::size_t now = test.node.listeners->status().queued_bytes;
    if (i == 0) queued = now;
    CHECK(now <= queued);
  }
  CHECK(queued > 0);
  stream.limited = false;
  test.read(stream, id, 1);
  test.node.settle();
  const Texts texts = stream.take();
  CHECK(std::count(texts.begin(), texts.end(), "resync@22") == 1);
  CHECK(texts.back() == "synced@22");
}

// Of a source whose state is sent, single keys may stay subscribed; some of them were passed
// already.
TEST_CASE("Unsubscribe in the middle of a state leaves nothing out that is still wanted") {
  for (std::size_t credit = 1; credit < 14; ++credit) {
    INFO("after " << credit);
    Fixture test;
    test.node.options.page_rows = 2;
    test.node.options.buffer_bytes = 600;
    test.node.restart();
    test.cluster.subscribe("one", "s");                                                         // 1
    for (const char* key : {"1", "2", "5", "6", "8"}) test.cluster.subscribe("one", "s", key);  // 6
    for (int i = 0; i < 10; ++i) test.cluster.set("s", std::to_string(i), "v");  // 16
    for (const char* key : {"2", "6"}) test.cluster.remove("s", key);            // 18
    test.node.settle();
    test.node.trim(18);
    RecordedStream stream;
    stream.limited = true;
    stream.credit = credit;
    const auto id = test.listen(stream);
    test.node.settle();
    test.cluster.unsubscribe("one", "s");
    test.node.settle();
    stream.limited = false;
    test.read(stream, id, 1);
    const Texts told = test.settle(stream);
    for (const char* text : {"s/1=v@8", "s/5=v@12", "s/8=v@15", "s/2-@18", "s/6-@18"}) {
      INFO(text);
      CHECK(std::count(told.begin(), told.end(), text) == 1);
    }
  }
}

}  // namespace
}  // namespace iris::testing
