// Streams that take nothing for long, in the middle of a state.
#include <algorithm>

#include "tests/listeners/fixture.h"

namespace iris::testing {
namespace {

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

TEST_CASE(
    "the log is kept for a stream that is sent a state, until it has caught up or stalls (hazard "
    "87)") {
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

TEST_CASE("a stream that stalls while a state is sent gets another state when it reads again") {
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

}  // namespace
}  // namespace iris::testing
