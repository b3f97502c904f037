// The log tail as a node learns it, live and after a restart.
#include "tests/listeners/fixture.h"

namespace iris::testing {
namespace {

TEST_CASE("commands that changed nothing are not published, live or from the log") {
  Fixture test;
  test.cluster.subscribe("one", "s");
  RecordedStream live;
  test.listen(live);
  test.cluster.remove("s", "k");
  test.cluster.remove_source("s");
  test.cluster.set("s", "k", "a", 7);
  test.cluster.set("s", "k", "a", 0);  // 5
  test.cluster.set("s", "k", "b", 0);
  test.cluster.append(raft::Command("not a command"));
  test.cluster.append(raft::NoOp{});
  test.cluster.set("s", "k", "c", 5);  // 9
  const Texts expected{"s/k=a@5", "s/k=c@9"};
  CHECK(test.settle(live) == expected);

  RecordedStream resumed;
  test.listen(resumed, {"one", 1});
  CHECK(resumed.take() == expected);
  test.node.restart();  // learns from the store what the log tail did
  RecordedStream restarted;
  test.listen(restarted, {"one", 1});
  CHECK(restarted.take() == expected);
}

TEST_CASE(
    "after a restart of its node a client goes on where it was, removed sources too (hazard 86)") {
  Fixture test;
  test.cluster.subscribe("one", "s");
  test.cluster.set("s", "a", "1");
  test.cluster.set("s", "b", "1");
  test.cluster.remove_source("s");  // 4
  test.cluster.remove("s", "a");    // 5: nothing
  test.cluster.set("s", "a", "2");  // 6
  test.node.settle();
  test.node.restart();
  RecordedStream stream;
  test.listen(stream, {"one", 2});
  CHECK(stream.take() == Texts{"s/b=1@3", "s/a-@4", "s/b-@4", "s/a=2@6"});
}

}  // namespace
}  // namespace iris::testing
