// Streams that are behind: updates from the log tail.
#include <algorithm>

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

TEST_CASE("a later subscription is due from then on, also in a resume") {
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

// A stream that has taken one update and then no more, with a full queue: `queued` updates of s/a,
// s/b and t/k in turn are in it, or past it in the log tail.
struct Overflowed : Fixture {
  Overflowed() {
    node.options.buffer_bytes = 2'000;
    node.restart();
    cluster.subscribe("one", "s");       // 1
    cluster.subscribe("one", "s", "a");  // 2
    cluster.subscribe("one", "t");       // 3
    stream.limited = true;
    stream.credit = 1;
    id = listen(stream);
    for (int i = 0; i < 40; ++i) {
      write("s", "a");
      write("s", "b");
      write("t", "k");
    }
    node.settle();
    REQUIRE(node.listeners->status().overflows == 1);
    REQUIRE(stream.updates.size() == 1);
  }
  void write(const std::string& source, const std::string& key) {
    const auto outcome = cluster.set(source, key, "v");
    const std::string text = source + "/" + key + "=v@" + std::to_string(outcome.revision);
    (source == "t" ? of_t : key == "a" ? of_a : of_b).push_back(text);
  }
  // What comes when the client reads again: the first, which was taken before, and the rest.
  Texts read_all() {
    stream.limited = false;
    read(stream, id, 1);
    return settle(stream);
  }

  RecordedStream stream;
  ListenerId id;
  Texts of_a, of_b, of_t;
};

Texts in_order(Texts texts, const Texts& more) {
  texts.insert(texts.end(), more.begin(), more.end());
  const auto revision = [](const std::string& text) {
    return std::stoull(text.substr(text.find('@') + 1));
  };
  std::sort(texts.begin(), texts.end(),
            [&](const std::string& a, const std::string& b) { return revision(a) < revision(b); });
  return texts;
}

TEST_CASE("Unsubscribe after the queue was full stops what waits in it and in the tail (88)") {
  Overflowed test;
  test.cluster.unsubscribe("one", "s");
  test.write("s", "b");
  test.write("s", "a");
  test.node.settle();
  // The first of s/b was promised with the update before it.
  CHECK(test.read_all() == in_order(in_order(test.of_a, test.of_t), {test.of_b[0]}));
  test.write("s", "b");
  test.cluster.set("t", "k", "live");
  CHECK(test.settle(test.stream).size() == 1);
  CHECK(test.node.listeners->status().queued_bytes == 0);
}

TEST_CASE(
    "a session that ends all after the queue was full gets nothing more, and goes live (88)") {
  Overflowed test;
  test.cluster.unsubscribe("one", "s");
  test.cluster.unsubscribe("one", "s", "a");
  test.cluster.unsubscribe("one", "t");
  test.node.settle();
  // The second was promised with the first.
  CHECK(test.read_all() == Texts{test.of_a[0], test.of_b[0]});
  test.cluster.subscribe("one", "u");
  test.cluster.set("u", "k", "live");
  CHECK(test.settle(test.stream).size() == 1);
}

TEST_CASE("a subscription made again after the queue was full is due from then on (88)") {
  Overflowed test;
  test.cluster.unsubscribe("one", "t");
  test.write("t", "k");
  test.of_t.clear();
  test.cluster.subscribe("one", "t");
  test.write("t", "k");
  test.node.settle();
  CHECK(test.read_all() == in_order(in_order(test.of_a, test.of_b), test.of_t));
}

}  // namespace
}  // namespace iris::testing
