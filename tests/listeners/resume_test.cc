// Where a stream begins: after a revision, at a state, after a snapshot or a restart.
#include <algorithm>
#include <memory>

#include "src/listeners/matcher.h"
#include "tests/listeners/fixture.h"

namespace iris::testing {
namespace {

TEST_CASE("a resume goes on exactly after the revision (hazard 86)") {
  Fixture test;
  test.cluster.subscribe("one", "s");
  Texts all;
  for (int i = 0; i < 20; ++i) {
    const auto outcome = test.cluster.set("s", "k", std::to_string(i));
    all.push_back("s/k=" + std::to_string(i) + "@" + std::to_string(outcome.revision));
  }
  for (std::uint64_t after = 1; after <= test.cluster.last(); ++after) {
    RecordedStream stream;
    const auto id = test.listen(stream, {"one", after});
    test.node.listeners->cancelled(id);
    CHECK(stream.take() == Texts(all.begin() + static_cast<std::ptrdiff_t>(after) - 1, all.end()));
  }
}

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

TEST_CASE("what a session subscribed to later is due from then on, also in a resume") {
  Fixture test;
  test.cluster.subscribe("one", "s");  // 1
  test.cluster.set("s", "a", "1");     // 2
  test.cluster.set("t", "a", "1");     // 3
  test.cluster.subscribe("one", "t");  // 4
  test.cluster.set("t", "a", "2");     // 5
  RecordedStream stream;
  test.listen(stream, {"one", 1});
  CHECK(stream.take() == Texts{"s/a=1@2", "t/a=2@5"});
}

TEST_CASE("a resume waits for this node to have what others had (hazard 86)") {
  Fixture test;
  test.cluster.subscribe("one", "s");
  test.cluster.set("s", "k", "a");  // 2
  test.cluster.set("s", "k", "b");  // 3: seen at another node
  RecordedStream stream;
  REQUIRE(test.node.listeners->open({"one", 3}, stream));
  test.node.give(1);
  test.node.store->settle();
  test.node.pass_barriers();
  while (test.node.pump()) continue;
  CHECK(stream.updates.empty());
  CHECK_FALSE(stream.end);
  test.cluster.set("s", "k", "c");  // 4
  CHECK(test.settle(stream) == Texts{"s/k=c@4"});
}

TEST_CASE("a revision beyond the cluster's is answered by the state (hazard 86)") {
  Fixture test;
  test.cluster.set("s", "k", "a");
  test.cluster.subscribe("one", "s");
  RecordedStream stream;
  test.listen(stream, {"one", 1000});
  CHECK(stream.take() == Texts{"resync@2", "s/k=a@1", "synced@2"});
}

TEST_CASE("a resume of a session nobody knows is refused, a plain Listen is not (hazard 93)") {
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

TEST_CASE("what was missed and is trimmed comes as state, and is announced (hazards 87 and 88)") {
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

TEST_CASE("an old client whose updates are trimmed gets what changed, and never a mark") {
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
  // 3 is applied and told; 4 to 6 are applied, and the news of it still under way.
  for (int step = 0; step < 3; ++step) CHECK(test.node.store->run(sim::Lane::data));
  CHECK(test.node.data().applied.index.value == 6);
  CHECK(test.node.applied_index() == 3);
  while (test.node.store->run(sim::Lane::read)) continue;  // loaded; a state begins
  test.cluster.set("s", "k", "d");                         // 7
  CHECK(test.settle(stream) == Texts{"s/k=b@3", "t/k=c@5", "synced@6", "s/k=d@7"});
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
  // 2 is applied and told; 3 to 5 are applied, and the news of it still under way.
  CHECK(test.node.store->run(sim::Lane::data));
  while (test.node.data().applied.index.value < 5) CHECK(test.node.store->run(sim::Lane::data));
  test.node.pass_barriers();
  while (test.node.store->run(sim::Lane::read)) continue;
  while (test.node.pump()) continue;
  CHECK(test.node.applied_index() == 2);
  CHECK(test.settle(stream) == Texts{"s/a=by key@2", "s/b=by source@5"});
}

TEST_CASE("an update told while its listener is live is filtered by the subscription's revision") {
  Matcher matcher;
  const auto matched = [&](std::uint64_t revision) {
    std::vector<std::uint64_t> ids;
    matcher.match("s", "k", revision, [&](std::uint64_t id) { ids.push_back(id); });
    return ids;
  };
  using Ids = std::vector<std::uint64_t>;
  matcher.add(1, "s", std::nullopt, 5);
  matcher.add(2, "s", "k", 3);
  matcher.add(2, "s", std::nullopt, 5);
  matcher.add(3, "s", "other", 1);
  matcher.add(4, "t", std::nullopt, 1);
  CHECK(matched(3).empty());
  CHECK(matched(4) == Ids{2});
  CHECK(matched(5) == Ids{2});
  CHECK(matched(6) == Ids{1, 2});
  matcher.remove(2, "s", std::nullopt);
  CHECK(matched(6) == Ids{1, 2});
  matcher.remove(2, "s", "k");
  matcher.remove(1, "s", std::nullopt);
  matcher.remove(3, "s", "other");
  CHECK_FALSE(matcher.empty());
  matcher.remove(4, "t", std::nullopt);
  CHECK(matcher.empty());
}

TEST_CASE("an installed snapshot is told to streams that asked, state to all (hazard 91)") {
  Fixture test;
  test.cluster.set("s", "gone", "0");
  test.cluster.subscribe("new", "s");       // 2
  test.cluster.subscribe("old", "s");       // 3
  test.cluster.subscribe("old", "u", "k");  // 4
  RecordedStream with_marks;
  RecordedStream plain;
  test.listen(with_marks, {"new", 2});
  test.listen(plain, {"old"});
  test.cluster.set("s", "k", "1");  // 5
  test.node.settle();
  CHECK(with_marks.take() == Texts{"s/k=1@5"});
  CHECK(plain.take() == Texts{"s/k=1@5"});
  test.cluster.remove("s", "gone");    // 6
  test.cluster.set("s", "l", "2");     // 7
  test.cluster.subscribe("new", "t");  // 8: while this node was cut off
  test.cluster.set("t", "k", "3");     // 9
  test.node.install();
  CHECK(test.settle(with_marks) == Texts{"resync@9", "s/k=1@5", "s/l=2@7", "t/k=3@9", "synced@9"});
  CHECK(plain.take() == Texts{"s/l=2@7", "u/k-@9"});
  test.cluster.set("s", "k", "4");  // 10
  CHECK(test.settle(with_marks) == Texts{"s/k=4@10"});
  CHECK(plain.take() == Texts{"s/k=4@10"});
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

TEST_CASE("after a restart a client goes on where it was, graves and all (hazard 86)") {
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
