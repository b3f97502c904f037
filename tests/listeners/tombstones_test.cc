// Removed sources, and the keys that they had.
#include "tests/listeners/fixture.h"

namespace iris::testing {
namespace {

TEST_CASE("RemoveSource removes each key once, sorted, under one revision (hazard 89)") {
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

// Each removal, with a + where it says that others follow.
class MoreStream : public UpdateStream {
 public:
  bool write(const UpdatePtr& update, bool) override {
    told.push_back(std::string(update->key) + (update->more ? "+" : ""));
    return true;
  }
  void close(StreamEnd, const std::string&) override {}
  Texts told;
};

TEST_CASE("an update says that others of its revision follow, in any page (hazard 89)") {
  for (const std::size_t rows : {1u, 2u, 3u, 100u}) {
    Fixture test;
    test.node.options.page_rows = rows;
    test.node.restart();
    for (const char* key : {"a", "b", "c", "d"}) test.cluster.set("s", key, "v");
    test.cluster.subscribe("one", "s");
    for (const char* key : {"b", "c", "x"}) test.cluster.subscribe("two", "s", key);
    test.cluster.subscribe("two", "t");
    test.node.settle();
    MoreStream one;
    MoreStream two;
    REQUIRE(test.node.listeners->open({"one"}, one));
    REQUIRE(test.node.listeners->open({"two"}, two));
    test.node.settle();
    test.cluster.set("t", "k", "v");
    test.cluster.remove_source("s");
    test.cluster.set("t", "k", "v");
    test.node.settle();
    CHECK(one.told == Texts{"a+", "b+", "c+", "d"});
    // "x" was not there: then what comes next ends the revision.
    const std::string c = rows == 1 || rows == 2 ? "c+" : "c";
    CHECK(two.told == Texts{"k", "b+", c, "k"});
  }
}

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
