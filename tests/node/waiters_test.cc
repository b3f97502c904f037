// The table of waiting calls: handles, queues, deadlines.
#include "src/node/waiters.h"

#include <string>
#include <vector>

#include "tests/catch.h"

namespace iris {
namespace {

struct Fixture {
  WaiterBudget budget{0, 100};
  Waiters<std::string> calls{budget};
  std::uint64_t now = 0;

  // What is due at the ticks up to `tick`, in order.
  std::vector<std::string> expire_to(std::uint64_t tick) {
    std::vector<std::string> due;
    while (now < tick) {
      calls.expire(++now, [&](WaiterHandle handle) { due.push_back(calls.take(handle)); });
    }
    return due;
  }
  std::vector<std::string> names(Waiters<std::string>::Queue queue) {
    std::vector<std::string> names;
    for (WaiterHandle handle = calls.front(queue); handle; handle = calls.next(queue, handle)) {
      names.push_back(*calls.find(handle));
    }
    return names;
  }
};
using Names = std::vector<std::string>;

TEST_CASE("a handle never names a later call, though its slot is used again (hazard 74)") {
  Fixture f;
  const WaiterHandle first = f.calls.add("first", 5);
  CHECK(f.calls.take(first) == "first");
  const WaiterHandle second = f.calls.add("second", 5);
  CHECK(first != second);
  CHECK(f.calls.find(first) == nullptr);
  CHECK(*f.calls.find(second) == "second");
  CHECK(f.calls.find({}) == nullptr);
  CHECK(f.calls.find({~std::uint64_t{0}}) == nullptr);
}

TEST_CASE("calls are due at their tick, in the order they came, however far it is (hazard 15)") {
  Fixture f;
  f.calls.add("far", 5000);  // several turns of the wheel
  f.calls.add("a", 3);
  f.calls.add("b", 3);
  f.calls.add("same bucket, a turn later", 3 + 1024);
  f.calls.add("never", 1ull << 40);
  CHECK(f.expire_to(2).empty());
  CHECK(f.expire_to(3) == Names{"a", "b"});
  CHECK(f.expire_to(1026).empty());
  CHECK(f.expire_to(1027) == Names{"same bucket, a turn later"});
  CHECK(f.expire_to(4999).empty());
  CHECK(f.expire_to(5000) == Names{"far"});
  CHECK(f.calls.all().size() == 1);
}

TEST_CASE("a deadline may be drawn nearer") {
  Fixture f;
  const WaiterHandle handle = f.calls.add("a", 500);
  f.calls.set_deadline(handle, 2);
  CHECK(f.calls.deadline(handle) == 2);
  CHECK(f.expire_to(2) == Names{"a"});
  CHECK(f.expire_to(600).empty());
}

TEST_CASE("a call leaves its queue when it is taken, expires or enters another") {
  Fixture f;
  const auto one = f.calls.open_queue();
  const auto two = f.calls.open_queue();
  std::vector<WaiterHandle> handles;
  for (const char* name : {"a", "b", "c", "d"}) {
    handles.push_back(f.calls.add(name, name[0] == 'b' ? 1 : 9));
    f.calls.enter(one, handles.back());
  }
  CHECK(f.names(one) == Names{"a", "b", "c", "d"});
  CHECK(f.expire_to(1) == Names{"b"});
  f.calls.enter(two, handles[0]);
  CHECK(f.names(one) == Names{"c", "d"});
  CHECK(f.names(two) == Names{"a"});
  CHECK(f.calls.take(handles[3]) == "d");
  CHECK(f.names(one) == Names{"c"});
  f.calls.leave(handles[2]);
  CHECK(f.calls.empty(one));
  CHECK(f.calls.all().size() == 2);
}

TEST_CASE("queues are spliced in order, empty ones too") {
  Fixture f;
  const auto one = f.calls.open_queue();
  const auto two = f.calls.open_queue();
  f.calls.splice(one, two);
  CHECK(f.calls.empty(one));
  f.calls.enter(two, f.calls.add("x", 9));
  f.calls.enter(two, f.calls.add("y", 9));
  f.calls.splice(one, two);
  CHECK(f.names(one) == Names{"x", "y"});
  CHECK(f.calls.empty(two));
  f.calls.enter(two, f.calls.add("z", 9));
  f.calls.splice(one, two);
  CHECK(f.names(one) == Names{"x", "y", "z"});
}

TEST_CASE("tables share one budget; a call counts until it is taken") {
  Fixture f;
  f.budget.max = 2;
  Waiters<std::string> others(f.budget);
  const WaiterHandle a = f.calls.add("a", 9);
  CHECK_FALSE(f.budget.full());
  others.add("b", 9);
  CHECK(f.budget.full());
  f.calls.take(a);
  CHECK_FALSE(f.budget.full());
}

TEST_CASE("all calls are listed, heads of queues are not") {
  Fixture f;
  const auto queue = f.calls.open_queue();
  const WaiterHandle a = f.calls.add("a", 9);
  const WaiterHandle b = f.calls.add("b", 9);
  f.calls.enter(queue, b);
  f.calls.take(a);
  const auto all = f.calls.all();
  REQUIRE(all.size() == 1);
  CHECK(all.front() == b);
}

}  // namespace
}  // namespace iris
