// Full queues, slow readers, limits, and the ends of streams.
#include <algorithm>
#include <memory>

#include "tests/listeners/fixture.h"

namespace iris::testing {
namespace {

TEST_CASE("a removed source is fetched in pages; other streams go on meanwhile (hazard 92)") {
  Fixture test;
  test.node.options.page_rows = 3;
  test.node.restart();
  Texts expected;
  for (int i = 10; i < 20; ++i) {
    test.cluster.set("big", std::to_string(i), "v");
    expected.push_back("big/" + std::to_string(i) + "-@13");
  }
  test.cluster.subscribe("one", "big");    // 11
  test.cluster.subscribe("two", "small");  // 12
  RecordedStream one;
  RecordedStream two;
  test.listen(one);
  test.listen(two, {"two"});
  test.cluster.remove_source("big");    // 13
  test.cluster.set("small", "k", "v");  // 14
  test.cluster.set("big", "k", "v");    // 15
  test.node.give(15);
  while (test.node.store->run(sim::Lane::data)) continue;  // the read lane stands still
  while (test.node.pump()) continue;
  CHECK(two.take() == Texts{"small/k=v@14"});
  CHECK(one.take().empty());
  expected.emplace_back("big/k=v@15");
  CHECK(test.settle(one) == expected);
}

TEST_CASE("many listeners of a removed source share its pages") {
  Fixture test;
  std::vector<RecordedStream> streams(20);
  for (int i = 0; i < 20; ++i) {
    const std::string session = std::to_string(i);
    test.cluster.subscribe(session, "s");
    test.listen(streams[static_cast<std::size_t>(i)], {session});
  }
  test.cluster.set("s", "k", "v");
  test.node.settle();
  test.cluster.remove_source("s");
  test.node.give(test.cluster.last());
  while (test.node.store->run(sim::Lane::data)) continue;
  while (test.node.pump()) continue;
  int reads = 0;
  while (test.node.store->run(sim::Lane::read)) ++reads;
  CHECK(reads <= 2);  // its work, and the news of it
  test.node.settle();
  for (auto& stream : streams) CHECK(stream.take() == Texts{"s/k=v@21", "s/k-@22"});
  CHECK(streams[0].updates[1] == streams[19].updates[1]);
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
  const std::string great(10 * cost, 'g');
  test.cluster.set("s", "k", great);
  test.node.settle();
  test.read(stream, id, 1);
  CHECK(stream.updates.back()->value == great);
  CHECK(test.node.listeners->status().overflows == 1);
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
  CHECK(test.node.listeners->served() == Texts{"one"});
}

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

// Session "one" asked for the state of "s", nine rows in small pages at revision 10, and has read
// two of them.
struct SlowState : Fixture {
  RecordedStream stream;
  ListenerId id;

  SlowState() {
    node.options.page_rows = 2;
    node.options.buffer_bytes = 600;
    node.restart();
    for (int i = 0; i < 9; ++i) cluster.set("s", std::to_string(i), "old");
    cluster.subscribe("one", "s");  // 10
    stream.limited = true;
    stream.credit = 2;
    id = listen(stream, {"one", 0, true});
  }
};

TEST_CASE("the log is kept for who is told a state, until it has caught up or stalls (hazard 87)") {
  SlowState test;
  CHECK(test.node.listeners->keeps_log_after() == raft::Index{10});
  test.stream.limited = false;
  test.read(test.stream, test.id, 1);
  test.node.settle();
  CHECK_FALSE(test.node.listeners->keeps_log_after());

  test.stream.limited = true;
  const auto again = test.listen(test.stream, {"one", 1, false});
  CHECK_FALSE(test.node.listeners->keeps_log_after());  // a mere resume waits for nothing
  test.node.listeners->cancelled(again);
  RecordedStream stalls;
  stalls.limited = true;
  stalls.credit = 1;
  test.listen(stalls, {"one", 0, true});
  CHECK(test.node.listeners->keeps_log_after() == raft::Index{10});
  test.node.tick(31'000);
  CHECK_FALSE(test.node.listeners->keeps_log_after());
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

TEST_CASE("answers that come after the end of Listeners find nobody") {
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

TEST_CASE("streams are limited: at the limit and one over; a taken-over one makes room") {
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

TEST_CASE("a Listen at a node that cannot reach a quorum ends with unavailable") {
  Fixture test;
  RecordedStream stream;
  REQUIRE(test.node.listeners->open({"one"}, stream));
  test.node.fail_barriers();
  CHECK(stream.end == StreamEnd::unavailable);
  CHECK(stream.text == "no leader is known");
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

TEST_CASE("graves and voids go once the log was trimmed past them, in pieces") {
  Fixture test;
  test.node.options.purge_records = 3;
  test.node.restart();
  for (int i = 0; i < 20; ++i) test.cluster.set("s", std::to_string(i), "v");
  test.cluster.remove_source("s");   // 21
  test.cluster.remove("s", "none");  // 22
  test.cluster.set("s", "k", "v");   // 23
  test.node.settle();
  const auto values = [&] {
    return test.node.data().tables[static_cast<std::size_t>(store::Table::values)].size();
  };
  CHECK(values() == 21);
  test.node.trim(20);
  test.node.settle();
  CHECK(values() == 21);
  test.node.trim(22);
  test.node.settle();
  CHECK(values() == 1);
}

TEST_CASE("a grave stays while a listener reads it, and goes when that one stalls") {
  Fixture test;
  test.node.options.page_rows = 2;
  test.node.options.buffer_bytes = 600;
  test.node.restart();
  for (int i = 10; i < 30; ++i) test.cluster.set("s", std::to_string(i), "v");
  test.cluster.subscribe("one", "s");  // 21
  test.node.settle();
  RecordedStream stream;
  stream.limited = true;
  stream.credit = 1;
  const auto id = test.listen(stream, {"one", 21});
  test.cluster.remove_source("s");  // 22
  test.cluster.set("t", "k", "v");  // 23
  test.node.settle();
  CHECK(stream.take() == Texts{"s/10-@22"});
  test.node.trim(22);  // what comes after the RemoveSource is still known
  test.node.settle();
  const auto values = [&] {
    return test.node.data().tables[static_cast<std::size_t>(store::Table::values)].size();
  };
  CHECK(values() == 21);
  test.read(stream, id, 10);
  CHECK(stream.take().size() == 10);
  CHECK(values() == 21);
  test.node.tick(31'000);  // it takes nothing any more
  CHECK(values() == 1);
  stream.limited = false;
  test.read(stream, id, 1);
  test.node.settle();
  const Texts rest = stream.take();  // a few removals were queued already
  REQUIRE(rest.size() >= 2);
  CHECK(rest[rest.size() - 2] == "resync@23");
  CHECK(rest.back() == "synced@23");
}

TEST_CASE("who stalls while a state is sent gets another one when it reads again") {
  SlowState test;
  CHECK(test.stream.take() == Texts{"s/0=old@1", "s/1=old@2"});
  test.node.tick(31'000);
  test.cluster.remove("s", "0");      // 11
  test.cluster.set("s", "8", "new");  // 12
  test.node.settle();
  test.node.trim(12);
  test.stream.limited = false;
  test.read(test.stream, test.id, 1);
  test.node.settle();
  const Texts rest = test.stream.take();
  const auto resync = std::find(rest.begin(), rest.end(), "resync@12");
  REQUIRE(resync != rest.end());
  CHECK(Texts(resync, rest.end()) == Texts{"resync@12", "s/1=old@2", "s/2=old@3", "s/3=old@4",
                                           "s/4=old@5", "s/5=old@6", "s/6=old@7", "s/7=old@8",
                                           "s/8=new@12", "synced@12"});
}

// Of a source that is told as a whole, single keys may be left, some of which were passed already.
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

TEST_CASE("live updates share one object, whoever gets them") {
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

}  // namespace
}  // namespace iris::testing
