// The subscriptions of a great session enter and leave the matcher in pieces; a snapshot reloads
// listeners in pieces.
#include <algorithm>

#include "src/listeners/budget.h"
#include "src/listeners/indexing.h"
#include "tests/listeners/fixture.h"

namespace iris::testing {
namespace {

using listening::Filter;
using listening::Indexing;
using listening::Matcher;
using listening::RetiredFilters;

std::size_t matched(const Matcher& matcher, std::string_view source) {
  std::size_t count = 0;
  matcher.match_source(source, [&](Matcher::Id) { ++count; });
  return count;
}

Filter great_filter() {
  Filter filter;
  for (int i = 100; i < 200; ++i) filter.add("s", std::to_string(i), 1);
  filter.add("s", std::nullopt, 1);
  filter.add("t", "k", 1);
  return filter;
}

TEST_CASE("a filter enters the matcher as far as the budget goes (hazard 129)") {
  Matcher matcher;
  const Filter filter = great_filter();
  Indexing indexing(7);
  CHECK_FALSE(indexing.begun());
  std::size_t budget = listening::cost::index * 10;
  indexing.go_on(matcher, filter, budget);
  CHECK(budget == 0);
  CHECK(matched(matcher, "s") == 10);  // the whole source and nine keys
  CHECK_FALSE(indexing.complete());
  CHECK(indexing.reached("a", std::nullopt));
  CHECK(indexing.reached("s", std::nullopt));
  CHECK(indexing.reached("s", "108"));
  CHECK_FALSE(indexing.reached("s", "109"));
  CHECK_FALSE(indexing.reached("t", std::nullopt));
  budget = listening::cost::index * 1'000;
  indexing.go_on(matcher, filter, budget);
  CHECK(indexing.complete());
  CHECK(matched(matcher, "s") == 101);
  CHECK(matched(matcher, "t") == 1);
}

TEST_CASE("a filter leaves the matcher in pieces, as far as it is in there (hazard 129)") {
  for (const std::size_t in : {0u, 1u, 50u, 101u, 200u}) {
    Matcher matcher;
    RetiredFilters retired;
    Filter filter = great_filter();
    Indexing indexing(7);
    std::size_t budget = listening::cost::index * in;
    indexing.go_on(matcher, filter, budget);
    retired.add(matcher, std::move(filter), std::move(indexing));
    if (in == 200) CHECK(matched(matcher, "s") > 80);
    int pieces = 0;
    for (; !retired.empty(); ++pieces) {
      budget = listening::cost::index * 20;
      retired.go_on(matcher, budget);
    }
    CHECK(pieces >= 4);
    CHECK(matcher.empty());
  }
}

TEST_CASE("a session of many subscriptions gets each update once, at any time (hazard 129)") {
  Fixture test;
  constexpr int keys = 5'000;
  for (int i = 0; i < keys; ++i) test.cluster.subscribe("one", "s", std::to_string(i));
  test.node.settle();
  RecordedStream stream;
  const auto id = test.node.listeners->open({"one"}, stream);
  REQUIRE(id);
  Texts expected;
  int pumps = 0;
  for (int step = 0; step < 60; ++step) {
    const std::string key = std::to_string(4'500 - step);  // late in the order of indexing
    test.cluster.set("s", key, "v");
    expected.push_back("s/" + key + "=v@" + std::to_string(test.cluster.last()));
    test.cluster.unsubscribe("one", "s", std::to_string(keys - 1 - step));
    test.cluster.subscribe("one", "s", "new" + std::to_string(step));
    test.node.give(test.cluster.last());
    test.node.store->settle();
    test.node.pass_barriers();
    if (test.node.pump()) ++pumps;
  }
  CHECK(pumps > 3);
  test.cluster.set("s", "4000", "w");
  expected.push_back("s/4000=w@" + std::to_string(test.cluster.last()));
  test.cluster.set("s", "new1", "w");
  expected.push_back("s/new1=w@" + std::to_string(test.cluster.last()));
  test.cluster.set("s", std::to_string(keys - 1), "w");  // not subscribed any more
  CHECK(test.settle(stream) == expected);
  test.node.listeners->cancelled(*id);
  test.cluster.set("s", "4000", "x");  // some of its subscriptions are still in the matcher
  test.node.settle();
  RecordedStream again;
  test.listen(again, {"one", test.cluster.last()});
  test.cluster.set("s", "4000", "y");
  CHECK(test.settle(again).size() == 1);
}

TEST_CASE("after a snapshot a listener gets nothing before it is loaded again (hazard 129)") {
  Fixture test;
  test.cluster.subscribe("one", "s");
  RecordedStream stream;
  test.listen(stream, {"one", 1});
  test.cluster.set("s", "k", "a");  // 2: in the snapshot
  test.node.install();
  test.cluster.set("s", "k", "b");  // 3: applied before the listener is loaded again
  test.node.give(3);
  test.node.store->settle();
  CHECK(test.settle(stream) == Texts{"resync@3", "s/k=b@3", "synced@3"});
  CHECK_FALSE(stream.end);
}

TEST_CASE("after a snapshot listeners are loaded again in pieces, all of them (hazard 129)") {
  Fixture test;
  constexpr std::size_t streams = 2'500;
  std::vector<RecordedStream> all(streams);
  for (std::size_t i = 0; i < streams; ++i) {
    test.cluster.subscribe(std::to_string(i), "s");
    REQUIRE(test.node.listeners->open({std::to_string(i), 1}, all[i]));
  }
  test.node.settle();
  const auto told = [&] {
    return std::count_if(all.begin(), all.end(),
                         [](const RecordedStream& stream) { return !stream.updates.empty(); });
  };
  for (int round = 0; round < 2; ++round) {
    test.cluster.set("s", "k", "a");
    test.node.install();
    CHECK(test.node.pump());
    while (test.node.store->run(sim::Lane::read)) continue;
    CHECK(told() == 0);
    CHECK(test.node.pumps == 1);
  }
  test.node.settle();  // the second came before all were loaded after the first
  for (RecordedStream& stream : all) CHECK(stream.take().back() == "synced@2502");
}

}  // namespace
}  // namespace iris::testing
