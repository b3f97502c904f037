// The order in which a state is read, and what is left of it when subscriptions end meanwhile.
#include "src/listeners/state_cursor.h"

#include <optional>
#include <string>
#include <vector>

#include "tests/catch.h"

namespace iris::testing {
namespace {

using listening::StateCursor;
using listening::StateItem;

// "a/1", "b": the whole source; "b/x?": only if it is absent.
std::vector<std::string> describe(const std::vector<StateItem>& items) {
  std::vector<std::string> texts;
  for (const StateItem& item : items) {
    std::string text = item.source;
    if (item.key) text += "/" + *item.key;
    texts.push_back(item.absent_only ? text + "?" : text);
  }
  return texts;
}
using Texts = std::vector<std::string>;

struct CursorTest {
  listening::Filter filter;
  StateCursor cursor;

  CursorTest() {
    filter.add("a", "1", 3);
    filter.add("a", "2", 11);
    filter.add("b", std::nullopt, 5);
    for (const char* key : {"k", "x"}) filter.add("b", key, 4);
    filter.add("c", "1", 10);
  }
  Texts next(bool every_key) const { return describe(cursor.next(filter, 10, every_key)); }
  // A page that completes `items_done` items, and the next one up to `last_key`.
  void advance(bool every_key, std::size_t items_done, const std::string& last_key) {
    cursor.advance(cursor.next(filter, 10, every_key), {{}, items_done, last_key});
  }
};

TEST_CASE("a state is read by source, the whole source before its keys, of older subscriptions") {
  CursorTest test;
  CHECK(test.next(false) == Texts{"a/1", "b", "c/1"});
  CHECK(test.next(true) == Texts{"a/1", "b", "b/k?", "b/x?", "c/1"});
  test.advance(false, 1, "m");  // into the whole source
  CHECK(test.next(false) == Texts{"b", "c/1"});
  CHECK(test.cursor.start_after(test.cursor.next(test.filter, 10, false)) == "m");
  test.advance(false, 1, "");
  CHECK(test.next(false) == Texts{"c/1"});
  test.advance(false, 1, "");
  CHECK(test.next(false).empty());
}

TEST_CASE("a source that is unsubscribed while it is read leaves its single keys to read") {
  CursorTest test;
  test.advance(false, 1, "m");
  test.filter.remove("b", std::nullopt);
  CHECK(test.next(false) == Texts{"b/x", "c/1"});
  CHECK(test.next(true) == Texts{"b/k?", "b/x", "c/1"});  // the value of k was sent
  test.advance(true, 1, "");
  CHECK(test.next(true) == Texts{"b/x", "c/1"});
}

}  // namespace
}  // namespace iris::testing
