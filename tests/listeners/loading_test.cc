// Sessions as a stream finds them: at its beginning, while it lasts, after a snapshot.
#include "tests/listeners/fixture.h"

namespace iris::testing {
namespace {

TEST_CASE("a new session that asks for it goes on where an expired one was (hazard 86)") {
  Fixture test;
  test.cluster.subscribe("former", "s");    // 1
  test.cluster.set("s", "a", "1");          // 2: the last that was seen
  test.cluster.set("s", "b", "1");          // 3
  test.cluster.set("t", "k", "1");          // 4
  test.cluster.remove_source("s");          // 5
  test.cluster.set("s", "a", "2");          // 6
  test.cluster.subscribe("one", "s");       // 7
  test.cluster.subscribe("one", "t", "k");  // 8
  test.cluster.set("s", "b", "2");          // 9
  RecordedStream stream;
  test.listen(stream, {.session = "one", .after_revision = 2, .earlier = true});
  CHECK(stream.take() == Texts{"s/b=1@3", "t/k=1@4", "s/a-@5", "s/b-@5", "s/a=2@6", "s/b=2@9"});
  test.cluster.set("t", "k", "2");  // 10
  CHECK(test.settle(stream) == Texts{"t/k=2@10"});
}

TEST_CASE("a revision beyond the cluster's is answered by the state (hazard 86)") {
  Fixture test;
  test.cluster.set("s", "k", "a");
  test.cluster.subscribe("one", "s");
  RecordedStream stream;
  test.listen(stream, {"one", 1000});
  CHECK(stream.take() == Texts{"resync@2", "s/k=a@1", "synced@2"});
}

TEST_CASE("a resume of an unknown session is refused, a plain Listen is not (hazard 93)") {
  Fixture test;
  for (const ListenSpec& spec : {ListenSpec{"stranger", 3}, ListenSpec{"stranger", 0, true}}) {
    RecordedStream asking;  // for what it missed, or for a state that would be empty
    test.listen(asking, spec);
    CHECK(asking.end == StreamEnd::not_found);
    CHECK(asking.text == "the session has no subscriptions, or they expired: subscribe again");
    CHECK(asking.updates.empty());
  }
  RecordedStream plain;
  test.listen(plain, {"stranger"});
  CHECK_FALSE(plain.end);
  CHECK(test.node.listeners->status().listeners == 1);
}

TEST_CASE("subscriptions that are ahead of the loop begin when they were made (hazard 85)") {
  Fixture test;
  test.cluster.subscribe("one", "s", "a");  // 1
  RecordedStream stream;
  REQUIRE(test.node.listeners->open({"one"}, stream));
  test.node.give(1);
  test.node.store->settle();
  test.cluster.set("s", "a", "by key");     // 2
  test.cluster.set("s", "b", "not yet");    // 3
  test.cluster.subscribe("one", "s");       // 4
  test.cluster.set("s", "b", "by source");  // 5
  test.node.give(5);
  // 2 is applied and known on the loop; 3 to 5 are applied, which the loop is still to learn.
  CHECK(test.node.store->run(sim::Lane::data));
  while (test.node.data().applied.index.value < 5) CHECK(test.node.store->run(sim::Lane::data));
  test.node.pass_barriers();
  while (test.node.store->run(sim::Lane::read)) continue;
  while (test.node.pump()) continue;
  CHECK(test.node.applied_index() == 2);
  CHECK(test.settle(stream) == Texts{"s/a=by key@2", "s/b=by source@5"});
}

TEST_CASE("a session that expires ends its stream; one that subscribed since is spared") {
  Fixture test;
  test.cluster.subscribe("one", "s");
  test.cluster.subscribe("two", "s");
  test.cluster.subscribe("two", "s");  // 3
  RecordedStream one;
  RecordedStream two;
  RecordedStream never;
  test.listen(one);
  test.listen(two, {"two"});
  test.listen(never, {"never"});
  test.cluster.apply(ExpireSessions{2, {"one", "two", "never"}});
  test.cluster.set("s", "k", "v");
  test.node.settle();
  CHECK(one.end == StreamEnd::not_found);
  CHECK(one.text == "the session expired: subscribe again");
  CHECK(one.updates.empty());
  CHECK(two.take() == Texts{"s/k=v@5"});
  CHECK_FALSE(never.end);
}

TEST_CASE(
    "after an installed snapshot new clients get RESYNC and a state, old ones the changes (hazard "
    "91)") {
  Fixture test;
  test.cluster.set("s", "gone", "0");
  test.cluster.subscribe("new", "s");       // 2
  test.cluster.subscribe("old", "s");       // 3
  test.cluster.subscribe("old", "u", "k");  // 4
  RecordedStream with_markers;
  RecordedStream plain;
  test.listen(with_markers, {"new", 2});
  test.listen(plain, {"old"});
  test.cluster.set("s", "k", "1");  // 5
  test.node.settle();
  CHECK(with_markers.take() == Texts{"s/k=1@5"});
  CHECK(plain.take() == Texts{"s/k=1@5"});
  test.cluster.remove("s", "gone");    // 6
  test.cluster.set("s", "l", "2");     // 7
  test.cluster.subscribe("new", "t");  // 8: while this node was cut off
  test.cluster.set("t", "k", "3");     // 9
  test.node.install();
  CHECK(test.settle(with_markers) ==
        Texts{"resync@9", "s/k=1@5", "s/l=2@7", "t/k=3@9", "synced@9"});
  CHECK(plain.take() == Texts{"s/l=2@7", "u/k-@9"});
  test.cluster.set("s", "k", "4");  // 10
  CHECK(test.settle(with_markers) == Texts{"s/k=4@10"});
  CHECK(plain.take() == Texts{"s/k=4@10"});
}

TEST_CASE("a session that expired before an installed snapshot ends its stream (hazard 91)") {
  Fixture test;
  test.cluster.subscribe("one", "s");
  test.cluster.subscribe("back", "s");
  RecordedStream gone;
  RecordedStream back;
  RecordedStream unseen;
  RecordedStream fresh;
  test.listen(gone, {"one"});
  test.listen(back, {"back", 2});
  test.listen(unseen, {"unseen"});
  test.listen(fresh, {"new"});
  test.cluster.subscribe("unseen", "s");  // 3, and all that follows: while this node was cut off
  test.cluster.apply(ExpireSessions{3, {"one", "back", "unseen"}});  // 4
  test.cluster.subscribe("back", "t");                               // 5
  test.cluster.set("t", "k", "1");                                   // 6
  test.cluster.subscribe("new", "t");                                // 7
  test.cluster.subscribe("new", "s");                                // 8
  test.node.install();
  test.node.settle();
  CHECK(gone.end == StreamEnd::not_found);
  CHECK(gone.text == "the session has no subscriptions, or they expired: subscribe again");
  CHECK(unseen.end == StreamEnd::not_found);
  CHECK(back.end == StreamEnd::not_found);
  CHECK(back.text == "the session expired: subscribe again");
  CHECK(fresh.take() == Texts{"t/k=1@6"});
}

}  // namespace
}  // namespace iris::testing
