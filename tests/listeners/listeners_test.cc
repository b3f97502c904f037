// What a client of Listen is told, and what it never is.
#include <algorithm>
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

TEST_CASE("RemoveSource tells each key once, sorted, under one revision (hazard 89)") {
  Fixture test;
  for (const char* key : {"c", "a", "b"}) test.cluster.set("s", key, "v");
  test.cluster.subscribe("one", "s");       // 4
  test.cluster.subscribe("two", "s", "b");  // 5
  test.cluster.subscribe("two", "s", "x");  // 6: no such key
  test.cluster.subscribe("two", "t");
  RecordedStream one;
  RecordedStream two;
  test.listen(one);
  test.listen(two, {"two"});
  test.cluster.remove_source("s");  // 8
  test.cluster.set("s", "a", "w");  // 9
  test.cluster.remove_source("s");  // 10
  test.cluster.set("t", "k", "v");  // 11
  CHECK(test.settle(one) == Texts{"s/a-@8", "s/b-@8", "s/c-@8", "s/a=w@9", "s/a-@10"});
  CHECK(test.settle(two) == Texts{"s/b-@8", "t/k=v@11"});
  RecordedStream resumed;
  test.listen(resumed, {"one", 7});
  CHECK(resumed.take() == Texts{"s/a-@8", "s/b-@8", "s/c-@8", "s/a=w@9", "s/a-@10"});
}

TEST_CASE("heartbeats come on a quiet stream only to who asked, never past an update (hazard 90)") {
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

}  // namespace
}  // namespace iris::testing
