// The arithmetic of leases, against the plainest model, by enumeration.
#include "src/listeners/lease_table.h"

#include <algorithm>
#include <set>

#include "src/listeners/lease_times.h"
#include "src/listeners/piece_limits.h"
#include "src/listeners/served_sessions.h"

#include "tests/catch.h"

namespace iris::testing {
namespace {

using listening::first_tick;
using listening::LeaseTable;
using listening::LeaseTimes;
using listening::PieceLimits;
using listening::ServedSessions;
using Names = std::vector<std::string>;

constexpr listening::ExpireLimits no_limits{1'000, 1u << 20, 1'000, 1u << 20};

TEST_CASE("a time that is told to a node of another tick never becomes earlier") {
  for (const std::uint32_t from_ms : {1u, 3u, 7u, 10u}) {
    for (const std::uint32_t to_ms : {1u, 3u, 7u, 10u}) {
      const LeaseTimes from(600'000, from_ms);
      const LeaseTimes to(600'000, to_ms);
      for (std::uint64_t silent = 0; silent < 100; ++silent) {
        const std::uint64_t told = from.ms_since(first_tick - silent, first_tick);
        const std::uint64_t heard = first_tick - to.tick_before(told, first_tick);
        CHECK(heard * to_ms <= silent * from_ms);
        CHECK(heard * to_ms + to_ms > told);
      }
    }
  }
  const LeaseTimes times(1'000, 10);
  CHECK(times.tick_before(UINT64_MAX, first_tick) == 0);  // from the network
  CHECK(times.ms_since(first_tick + 5, first_tick) == 0);
}

TEST_CASE("the times of the least and the greatest lease") {
  for (const std::uint64_t ttl_ms : {1'000ull, 10'000ull, 600'000ull, 31'536'000'000ull}) {
    for (const std::uint32_t tick_ms : {1u, 10u}) {
      const LeaseTimes times(ttl_ms, tick_ms);
      CHECK(times.ttl == ttl_ms / tick_ms);
      CHECK(times.report >= 1);
      CHECK(times.report * tick_ms <= 1'000);
      CHECK(times.lost * 4 <= times.ttl);
      CHECK(times.lost >= 4 * times.report);
    }
  }
  CHECK(LeaseTimes(1, 10).ttl == 16);
}

// One session, and what can happen to it, at times 1, 2, 3...
struct Model {
  LeaseTable table;
  std::set<std::uint64_t> nodes;  // that serve it
  std::uint64_t alive = 0;
  std::uint64_t revision = 0;
  bool replicated = false;

  void happen(unsigned event, std::uint64_t now) {
    const std::uint64_t node = event % 2 + 1;
    switch (event / 2) {
      case 0:
        table.served("s", {{node}, 1});
        nodes.insert(node);
        return;
      case 1:  // two ticks ago
        table.ended("s", {node}, now - 2);
        if (replicated || !nodes.empty()) alive = std::max(alive, now - 2);
        nodes.erase(node);
        break;
      case 2: {  // the node is lost; it was heard three ticks ago
        const auto is_over = [&](const listening::ServingPass& by) -> std::optional<std::uint64_t> {
          if (by.node.value != node) return std::nullopt;
          return now - 3;
        };
        for (std::uint64_t swept = 0; swept != table.latest();) {
          swept = table.sweep(swept, 1, is_over);
        }
        if (nodes.erase(node) > 0) alive = std::max(alive, now - 3);
        break;
      }
      case 3:
        if (node == 1) {
          table.subscribed("s", ++revision, std::nullopt, now);
          replicated = true;
          alive = std::max(alive, now);
        } else {
          table.expired("s", revision);
          replicated = false;
        }
        break;
      default:
        FAIL("no such event");
    }
    if (!replicated && nodes.empty()) alive = 0;  // forgotten
  }
};

TEST_CASE("a session expires as the model says after any five events") {
  constexpr unsigned events = 8;
  for (unsigned choice = 0; choice < events * events * events * events * events; ++choice) {
    Model model;
    std::uint64_t now = 100;
    for (unsigned rest = choice, i = 0; i < 5; ++i, rest /= events) {
      model.happen(rest % events, ++now);
    }
    INFO("events " << choice);
    REQUIRE(model.table.size() == (model.replicated ? 1 : 0));
    const bool silent = model.replicated && model.nodes.empty();
    if (silent) REQUIRE(model.table.expire(model.alive - 1, no_limits).empty());
    const Names expected = silent ? Names{"s"} : Names{};
    REQUIRE(model.table.expire(1'000, no_limits) == expected);
    REQUIRE(model.table.is_expiring() == silent);
    model.table.expire_again();
    REQUIRE(model.table.expire(1'000, no_limits) == expected);
    // And it is told so.
    LeaseChanges changes;
    model.table.fill(changes, 0, 0, {}, LeaseTimes(1'000, 10), 2'000);
    REQUIRE(changes.silent.size() == (silent ? 1 : 0));
    if (silent) REQUIRE(changes.silent[0].silent_ms == (2'000 - model.alive) * 10);
    REQUIRE(changes.served.size() == (model.replicated && !silent ? 1 : 0));
    REQUIRE(changes.latest);
  }
}

TEST_CASE("sessions expire in the order in which they fell silent") {
  LeaseTable table;
  for (const std::uint64_t alive : {50u, 20u, 40u, 10u, 30u}) {
    table.load(std::to_string(alive), {}, alive);
  }
  CHECK(table.expire(30, no_limits) == Names{"10", "20", "30"});
  for (const char* session : {"10", "20", "30"}) table.expired(session, 0);
  CHECK(table.expire(100, no_limits) == Names{"40", "50"});
}

TEST_CASE("changes come in pieces, each session once, as it is now") {
  LeaseTable table;
  const LeaseTimes times(10'000, 10);
  for (int i = 0; i < 10; ++i) table.load(std::to_string(i), {}, 100);
  table.served("3", {{1}, 1});
  table.served("4", {{1}, 1});
  table.ended("4", {1}, 150);
  const std::uint64_t first = table.latest();
  Names told;
  LeaseChanges changes;
  std::uint64_t after = 0;
  do {
    changes = {};
    table.fill(changes, after, first, PieceLimits{3, 1'000}, times, 200);
    CHECK(changes.after == after);
    CHECK(changes.silent.size() <= 3);
    CHECK(changes.served.empty());
    for (const SilentSession& silent : changes.silent) {
      told.push_back(silent.session);
      CHECK(silent.silent_ms == (silent.session == "4" ? 500 : 1'000));
    }
    after = changes.up_to;
  } while (!changes.latest);
  CHECK(told == Names{"0", "1", "2", "5", "6", "7", "8", "9", "4"});
  CHECK(after == first);
  table.served("5", {{1}, 1});
  changes = {};
  table.fill(changes, after, first, {}, times, 200);
  CHECK(changes.served == Names{"5"});
  CHECK(changes.up_to == table.latest());
}

TEST_CASE("a turn looks at a bounded number of records (hazard 127)") {
  LeaseTable table;
  for (int i = 0; i < 12'000; ++i) {
    table.load(std::to_string(i), {}, 100);
    table.served(std::to_string(i), {{1}, 1});
  }
  LeaseChanges changes;
  table.fill(changes, 0, table.latest(), {}, LeaseTimes(1'000, 10), 200);
  CHECK_FALSE(changes.latest);
  CHECK(changes.silent.empty());
  std::size_t turns = 0;
  std::size_t dissolved = 0;
  for (; !table.empty(); ++turns) {
    table.dissolve(1'000, [&](std::string_view, std::uint64_t) { ++dissolved; });
  }
  CHECK(turns == 12);
  CHECK(dissolved == 0);  // they were served
}

TEST_CASE("what a node serves is told in order, what ended for a lease only") {
  ServedSessions served;
  const LeaseTimes times(1'000, 10);
  served.opened("a");
  served.opened("b");
  served.closed("a", 500);
  served.closed("b", 510);
  served.opened("a");  // again
  SessionsServed report;
  ServedChanges changes;
  served.fill(report, changes, 0, {}, times, 520);
  CHECK(report.sessions == Names{"a"});
  CHECK(changes.ended == std::vector<SilentSession>{{"b", 100}});
  CHECK(changes.up_to == 5);
  CHECK(changes.latest);
  served.forget_before(510);
  CHECK(served.size() == 2);
  served.forget_before(511);
  CHECK(served.size() == 1);
  served.forget_before(UINT64_MAX);
  CHECK(served.size() == 1);  // it has a stream
}

TEST_CASE("what ended is remembered up to so many bytes, the latest") {
  ServedSessions served;
  const std::size_t each = 64u << 10;
  const std::size_t fit = ServedSessions::ended_bytes_max / (each + ServedSessions::overhead_bytes);
  const auto end_one = [&](std::size_t number) {
    std::string session = std::to_string(number);
    session.resize(each, '.');
    served.opened(session);
    served.closed(session, 100);
  };
  served.opened("open");
  for (std::size_t number = 0; number < fit; ++number) end_one(number);
  CHECK(served.size() == fit + 1);
  end_one(0);  // it is there already
  CHECK(served.size() == fit + 1);
  end_one(fit);
  CHECK(served.size() == fit + 1);
  SessionsServed report;
  ServedChanges changes;
  served.fill(report, changes, 0, {}, LeaseTimes(1'000, 10), 200);
  CHECK(report.sessions == Names{"open"});
  CHECK(changes.ended.empty());  // the piece is full: names of 64 KiB come one by one
  served.fill(report, changes, changes.up_to, {}, LeaseTimes(1'000, 10), 200);
  REQUIRE(changes.ended.size() == 1);
  CHECK(changes.ended[0].session.starts_with("2."));  // "1" is forgotten, "0" came again
}

}  // namespace
}  // namespace iris::testing
