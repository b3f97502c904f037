// All queues of a node together are bounded in bytes: the greatest are given up, no stream ends.
#include <memory>

#include "tests/listeners/fixture.h"

namespace iris::testing {
namespace {

struct FullFixture : Fixture {
  static constexpr std::size_t page = 4'000;

  explicit FullFixture(std::size_t bytes) : bytes_max(bytes) {
    node.options.queued_bytes_max = bytes_max;
    node.options.page_bytes = page;
    node.restart();
  }
  // Streams that take one update and no more; of sessions "0", "1", ...
  void listen_unread(std::size_t count, const ListenSpec& spec) {
    for (std::size_t i = 0; i < count; ++i) {
      unread.push_back(std::make_unique<RecordedStream>());
      unread.back()->limited = true;
      ListenSpec own = spec;
      own.session = std::to_string(i);
      ids.push_back(listen(*unread.back(), own));
    }
  }
  // One of them reads all that comes.
  void read_all(std::size_t i) {
    unread[i]->limited = unread[i]->must_wait = false;
    node.listeners->writable(ids[i]);
    node.settle();
  }
  [[nodiscard]] std::size_t queued() const { return node.listeners->status().queued_bytes; }

  const std::size_t bytes_max;
  std::vector<std::unique_ptr<RecordedStream>> unread;
  std::vector<ListenerId> ids;
};

TEST_CASE("streams that are never read share one bound; others stay live (hazard 126)") {
  FullFixture test(100'000);
  constexpr std::size_t streams = 20;
  for (std::size_t i = 0; i < streams; ++i) test.cluster.subscribe(std::to_string(i), "s");
  test.cluster.subscribe("fast", "s");
  RecordedStream fast;
  test.listen(fast, {"fast"});
  test.listen_unread(streams, {});
  Texts expected;
  for (int i = 0; i < 100; ++i) {
    const std::string value(1'500, static_cast<char>('a' + i % 26));
    test.cluster.set("s", "k", value);
    expected.push_back("s/k=" + value + "@" + std::to_string(test.cluster.last()));
    CHECK(test.settle(fast).size() == 1);
    CHECK(test.queued() <= test.bytes_max);
  }
  CHECK(test.node.listeners->status().given_up > 0);
  CHECK(test.node.listeners->status().queued_bytes_max == test.bytes_max);
  for (std::size_t i = 0; i < streams; ++i) {  // what was given up comes again, whole and once
    CHECK_FALSE(test.unread[i]->end);
    test.read_all(i);
    CHECK(test.unread[i]->take() == expected);
  }
  CHECK(test.node.listeners->status().resyncs == 0);
}

TEST_CASE("the stream with most bytes gives its queue up, not one with few (hazard 126)") {
  FullFixture test(100'000);
  test.cluster.subscribe("0", "great");
  test.cluster.subscribe("1", "small");
  test.listen_unread(2, {});
  const std::string value(1'500, 'v');
  for (int i = 0; i < 2; ++i) test.cluster.set("small", "k", value);
  for (int i = 0; i < 100; ++i) test.cluster.set("great", "k", value);
  test.node.settle();
  CHECK(test.node.listeners->status().given_up == 1);  // the small one still has its own
  CHECK(test.queued() <= test.bytes_max);
}

TEST_CASE("states that are never read share the bound too, and come whole later (hazard 126)") {
  FullFixture test(40'000);
  test.node.options.state_stall_ms = 50;
  test.node.options.states_max = 4;
  test.node.restart();
  constexpr std::size_t streams = 40;
  for (int i = 0; i < 50; ++i) test.cluster.set("s", std::to_string(i), std::string(200, 'v'));
  for (std::size_t i = 0; i < streams; ++i) test.cluster.subscribe(std::to_string(i), "s");
  test.listen_unread(streams, {"", 0, true});
  for (int i = 0; i < 200; ++i) {
    test.node.tick(50);
    CHECK(test.queued() <= test.bytes_max + FullFixture::page);
    CHECK(test.node.listeners->status().states <= 4);
  }
  for (std::size_t i = 0; i < streams; ++i) {
    test.read_all(i);
    test.node.tick(100);
    const Texts texts = test.unread[i]->take();
    REQUIRE(texts.size() > 50);
    CHECK(texts.back() == "synced@" + std::to_string(test.cluster.last()));
    CHECK_FALSE(test.unread[i]->end);
  }
  CHECK(test.queued() == 0);
}

TEST_CASE("so many states are sent at once; others wait for their turn (hazard 128)") {
  FullFixture test(100'000);
  test.node.options.states_max = 1;
  test.node.restart();
  for (int i = 0; i < 50; ++i) test.cluster.set("s", std::to_string(i), std::string(200, 'v'));
  for (const char* session : {"0", "two"}) test.cluster.subscribe(session, "s");
  test.listen_unread(1, {"", 0, true});
  RecordedStream two;
  test.listen(two, {"two", 0, true});
  CHECK(test.node.listeners->status().states == 1);
  CHECK(two.updates.empty());
  test.node.tick(test.node.options.state_stall_ms + 100);
  CHECK(two.updates.size() == 51);  // the one that takes nothing lost its turn
  CHECK(test.node.listeners->status().states == 0);
  test.read_all(0);
  CHECK(test.unread[0]->take().back() == "synced@52");
}

}  // namespace
}  // namespace iris::testing
