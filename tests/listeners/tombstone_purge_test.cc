// Tombstones and no-ops that no stream needs any more.
#include "tests/listeners/fixture.h"

namespace iris::testing {
namespace {

TEST_CASE("tombstones and no-ops are deleted once the log was trimmed past them, in pieces") {
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

TEST_CASE("a tombstone stays while a listener reads it, and goes when that listener stalls") {
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
  test.node.trim(22);  // the entries after the RemoveSource are still there
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

}  // namespace
}  // namespace iris::testing
