// Sessions and subscriptions in the state machine.
#include <string>
#include <vector>

#include "src/machine/layout.h"
#include "src/machine/machine.h"
#include "tests/machine/fixture.h"

#include "tests/catch.h"  // last: its CHECK must not stand in for raft/check.h's

namespace iris {
namespace {

using Code = Outcome::Code;
using Names = std::vector<std::string>;
using store::Table;

Names sessions(const MachineFixture& machine, const Page& page = {}) {
  Names rows;
  list_sessions(machine.view(), page, [&](std::string_view session, const SessionInfo&) {
    rows.emplace_back(session);
    return true;
  });
  return rows;
}

TEST_CASE("a session becomes replicated at its first Subscribe, whatever made up its name") {
  MachineFixture machine;
  CHECK_FALSE(find_session(machine.view(), "mine"));
  CHECK(machine.subscribe("mine", "colors") == Outcome{Code::done, true, 1});
  CHECK(find_session(machine.view(), "mine"));
  CHECK(machine.subscribe("mine", "colors", "sky") == Outcome{Code::done, true, 2});
  CHECK(machine.subscribe("another", "colors").changed);
  CHECK(machine.subscriptions("mine") == Names{"colors@1", "colors/sky@2"});
  CHECK(sessions(machine) == Names{"another", "mine"});
  CHECK(sessions(machine, {"", "another", 0}) == Names{"mine"});
  CHECK_FALSE(find_session(machine.view(), ""));
  machine.subscribe("mine", "colors");
  CHECK(find_session(machine.view(), "mine")->subscribed == 4);
  CHECK(find_session(machine.view(), "mine")->subscriptions == 2);
  CHECK(find_session(machine.view(), "another")->subscribed == 3);
}

TEST_CASE("subscribing twice is done, changes nothing and keeps the first revision") {
  MachineFixture machine;
  machine.subscribe("one", "s");
  CHECK(machine.subscribe("one", "s") == Outcome{Code::done, false, 2});
  machine.subscribe("one", "s", "k");
  CHECK(machine.subscribe("one", "s", "k") == Outcome{Code::done, false, 4});
  CHECK(machine.subscriptions("one") == Names{"s@1", "s/k@3"});
}

TEST_CASE("unsubscribing ends exactly that subscription; of nothing it is done") {
  MachineFixture machine;
  CHECK(machine.unsubscribe("one", "s") == Outcome{Code::done, false, 1});
  CHECK_FALSE(find_session(machine.view(), "one"));
  machine.subscribe("one", "s");
  machine.subscribe("one", "s", "k");
  CHECK(machine.unsubscribe("one", "s", "other") == Outcome{Code::done, false, 4});
  CHECK(machine.unsubscribe("one", "s") == Outcome{Code::done, true, 5});
  CHECK(machine.subscriptions("one") == Names{"s/k@3"});
  CHECK(machine.unsubscribe("one", "s", "k").changed);
  CHECK(machine.subscriptions("one").empty());
  CHECK(find_session(machine.view(), "one"));
  machine.subscribe("one", "s");
  CHECK(machine.subscriptions("one") == Names{"s@7"});  // a new subscription, a new revision
}

TEST_CASE("names of sessions and sources are not mixed up") {
  MachineFixture machine;
  machine.subscribe("ab", "c");
  machine.subscribe("a", "bc");
  machine.subscribe("a", "b", "c");
  CHECK(machine.subscriptions("ab") == Names{"c@1"});
  CHECK(machine.subscriptions("a") == Names{"b/c@3", "bc@2"});
  machine.apply(ExpireSessions{9, {"a", "c"}});
  CHECK(machine.subscriptions("ab") == Names{"c@1"});
  CHECK(machine.subscriptions("a").empty());
}

TEST_CASE("expiry removes a session with all it subscribed to, and spares the living (hazard 79)") {
  MachineFixture machine;
  machine.subscribe("idle", "s");
  machine.subscribe("idle", "s", "k");
  machine.subscribe("alive", "s");
  machine.subscribe("alive", "s");  // revision 4: changes nothing, and shows that it is alive
  CHECK(machine.apply(ExpireSessions{3, {"idle", "alive", "unknown", "idle"}}) ==
        Outcome{Code::done, true, 5});
  CHECK_FALSE(find_session(machine.view(), "idle"));
  CHECK(machine.subscriptions("idle").empty());
  CHECK(machine.subscriptions("alive") == Names{"s@3"});
  CHECK(machine.apply(ExpireSessions{3, {"idle"}}) == Outcome{Code::done, false, 6});
  CHECK(machine.tables.size(Table::subscriptions) == 1);
  machine.apply(ExpireSessions{6, {"alive"}});
  CHECK(machine.tables.size(Table::subscriptions) == 0);
  CHECK(machine.tables.size(Table::sessions) == 1);  // the counter, at zero
}

TEST_CASE("a session that expired may subscribe again in the same batch") {
  MachineFixture machine;
  machine.subscribe("one", "s");
  store::MemoryBatch batch(machine.tables);
  const auto apply = [&](const Operation& operation) {
    return Machine::apply(
        raft::Entry{{raft::Term{1}, raft::Index{++machine.last}}, encode(operation)}, machine.level,
        batch);
  };
  CHECK(apply(ExpireSessions{1, {"one"}}).changed);
  CHECK(apply(Subscribe{"one", "s", {}}).changed);
  CHECK(machine.subscriptions("one") == Names{"s@3"});
}

TEST_CASE("sessions are limited: at the limit one may, one over may not") {
  MachineFixture machine;
  machine.subscribe("first", "s");
  {
    store::MemoryBatch batch(machine.tables);
    batch.put(Table::sessions, "", layout::number_key(sessions_max - 1));
  }
  CHECK(machine.subscribe("last", "s") == Outcome{Code::done, true, 2});
  CHECK(machine.subscribe("over", "s") == Outcome{Code::limit, false, 3});
  CHECK_FALSE(find_session(machine.view(), "over"));
  CHECK(machine.subscriptions("over").empty());
  CHECK(machine.subscribe("first", "t").changed);  // sessions that exist go on
  machine.apply(ExpireSessions{9, {"last"}});
  CHECK(machine.subscribe("over", "s").changed);
}

TEST_CASE("a session that expired and one made anew under its name are told apart (hazard 91)") {
  MachineFixture machine;
  machine.subscribe("one", "s");
  machine.subscribe("one", "t");
  machine.unsubscribe("one", "s");
  CHECK(find_session(machine.view(), "one")->born == 1);
  machine.apply(ExpireSessions{3, {"one"}});
  machine.subscribe("one", "s");
  CHECK(find_session(machine.view(), "one")->born == 5);
  {
    store::MemoryBatch batch(machine.tables);
    batch.put(Table::sessions, "one",
              layout::session_record({5, 1, 5}).substr(0, 16));  // of a former version
  }
  CHECK(find_session(machine.view(), "one")->born == 0);
  CHECK(find_session(machine.view(), "one")->subscribed == 5);
}

TEST_CASE("subscriptions of a session are limited: at the limit and one over") {
  MachineFixture machine;
  machine.subscribe("one", "s");
  {
    store::MemoryBatch batch(machine.tables);
    batch.put(Table::sessions, "one",
              layout::session_record({1, subscriptions_per_session_max - 1}));
  }
  CHECK(machine.subscribe("one", "t") == Outcome{Code::done, true, 2});
  CHECK(machine.subscribe("one", "u") == Outcome{Code::limit, false, 3});
  CHECK(machine.subscribe("one", "t") == Outcome{Code::done, false, 4});
  CHECK(machine.subscribe("two", "u").changed);
  CHECK(machine.unsubscribe("one", "s").changed);
  CHECK(machine.subscribe("one", "u").changed);
  CHECK(machine.subscriptions("one") == Names{"t@2", "u@7"});
}

TEST_CASE(
    "bytes of a session's subscriptions are limited: at the limit and one over (hazard 125)") {
  MachineFixture machine;
  const std::string great(60'000, 'x');
  std::uint64_t bytes = 0;
  const auto size = [](const std::string& source) {
    return layout::subscription_key("one", {source, std::nullopt}).size();
  };
  for (int i = 100; bytes + size(great) + 1'000 < subscription_bytes_per_session_max; ++i) {
    const std::string source = std::to_string(i) + great.substr(3);
    CHECK(machine.subscribe("one", source).changed);
    bytes += size(source);
  }
  const std::string last(subscription_bytes_per_session_max - bytes - size(""), 'y');
  CHECK(machine.subscribe("one", last + "y").code == Code::limit);
  CHECK(machine.subscribe("one", last).changed);
  CHECK(find_session(machine.view(), "one")->bytes == subscription_bytes_per_session_max);
  CHECK(machine.subscribe("one", "z").code == Code::limit);
  CHECK(machine.subscribe("one", last).code == Code::done);  // known
  CHECK(machine.subscribe("two", "z").changed);
  CHECK(machine.unsubscribe("one", last).changed);
  CHECK(machine.subscribe("one", "z").changed);
}

// Builds of level 0 would accept what the limit refuses, and take the count for damage.
TEST_CASE("at level 0 the bytes of subscriptions are neither limited nor counted (118, 125)") {
  MachineFixture machine;
  machine.level = {};
  const std::string great(60'000, 'x');
  const std::uint64_t fit = subscription_bytes_per_session_max / great.size();
  for (std::uint64_t i = 0; i <= fit + 1; ++i) {
    CHECK(machine.subscribe("one", std::to_string(i) + great).changed);
    if (i == 1) CHECK(machine.unsubscribe("one", "0" + great).changed);
  }
  CHECK_FALSE(find_session(machine.view(), "one")->bytes);
  machine.level = feature_level;
  CHECK(machine.subscribe("one", "more").code == Code::limit);
  CHECK(machine.unsubscribe("one", "1" + great).changed);
  CHECK(machine.unsubscribe("one", "2" + great).changed);
  CHECK(find_session(machine.view(), "one")->bytes <= subscription_bytes_per_session_max);
  CHECK(machine.subscribe("one", "more").changed);
}

TEST_CASE("the row of a former version is counted once, at its next change (hazard 125)") {
  MachineFixture machine;
  machine.subscribe("one", "s");
  machine.subscribe("one", "t", "k");
  const std::uint64_t bytes = *find_session(machine.view(), "one")->bytes;
  const auto forget_count = [&](std::size_t row_bytes) {
    store::MemoryBatch batch(machine.tables);
    batch.put(Table::sessions, "one", layout::session_record({2, 2, 1}).substr(0, row_bytes));
  };
  for (const std::size_t row_bytes : {16u, 24u}) {
    forget_count(row_bytes);
    CHECK_FALSE(find_session(machine.view(), "one")->bytes);
    CHECK(machine.subscribe("one", "u").changed);
    CHECK(machine.unsubscribe("one", "u").changed);
    CHECK(find_session(machine.view(), "one")->bytes == bytes);
    forget_count(row_bytes);
    CHECK(machine.unsubscribe("one", "t", "k").changed);
    CHECK(machine.subscribe("one", "t", "k").changed);
    CHECK(find_session(machine.view(), "one")->bytes == bytes);
  }
  machine.apply(ExpireSessions{machine.last, {"one"}});
  machine.subscribe("one", "s");
  CHECK(find_session(machine.view(), "one")->bytes < bytes);
}

TEST_CASE("a great session expires in pieces, and nothing of it stays (hazard 125)") {
  MachineFixture machine;
  for (int i = 0; i < 2'500; ++i) machine.subscribe("one", "s", std::to_string(i));
  machine.subscribe("another", "s");
  CHECK(machine.apply(ExpireSessions{machine.last, {"one"}}).changed);
  CHECK(machine.subscriptions("one").empty());
  CHECK(machine.subscriptions("another").size() == 1);
}

}  // namespace
}  // namespace iris
