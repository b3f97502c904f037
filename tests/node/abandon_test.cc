// Calls whose caller is gone: they end at once and leave nothing behind.
#include "src/node/waiting_call.h"
#include "tests/node/cluster.h"

#include "tests/catch.h"  // last: its CHECK must not stand in for raft/check.h's

namespace iris::test {
namespace {

constexpr std::uint64_t hour_ms = 3'600'000;

struct Caller {
  WaitingCall waiting;
  bool answered = false;
  Error error;
};

void write(Node& node, const std::string& key, Caller& caller) {
  node.submit(
      SetValue{"source", key, "value", std::nullopt}, hour_ms,
      [&caller](const Result<Outcome>& outcome) {
        caller.answered = true;
        if (!outcome) caller.error = outcome.error();
      },
      &caller.waiting);
}

void read(Node& node, Consistency consistency, std::uint64_t min_revision, Caller& caller) {
  node.read(
      consistency, min_revision, hour_ms,
      [&caller](const Status& status) {
        caller.answered = true;
        if (!status) caller.error = status.error();
      },
      &caller.waiting);
}

TEST_CASE("a read whose caller is gone ends at once, wherever it waits") {
  Cluster cluster;
  cluster.form(3);
  cluster.isolate(3);
  Caller of_future;  // waits for a revision
  Caller stale;      // likewise, without a round
  Caller of_round;   // waits for a round
  read(cluster.node(1), Consistency::linearizable, 1u << 30, of_future);
  read(cluster.node(1), Consistency::stale, 1u << 30, stale);
  read(cluster.node(3), Consistency::linearizable, 0, of_round);
  cluster.tick(3);
  for (Caller* caller : {&of_future, &stale, &of_round}) {
    REQUIRE_FALSE(caller->answered);
    REQUIRE(caller->waiting.kind == WaitingCall::Kind::read);
  }
  CHECK(cluster.node(1).status().waiters == 2);

  cluster.node(1).abandon(of_future.waiting);
  cluster.node(1).abandon(stale.waiting);
  cluster.node(3).abandon(of_round.waiting);
  cluster.settle();
  for (Caller* caller : {&of_future, &stale, &of_round}) {
    CHECK(caller->answered);
    CHECK(caller->error.code == Errc::unavailable);
    CHECK(caller->waiting.kind == WaitingCall::Kind::none);
  }
  CHECK(cluster.node(1).status().waiters == 0);
  CHECK(cluster.node(3).status().waiters == 0);
  cluster.node(1).abandon(of_future.waiting);  // again: nothing
}

TEST_CASE("a read that was answered waits nowhere: to abandon it does nothing") {
  Cluster cluster;
  cluster.form(3);
  Caller caller;
  read(cluster.node(2), Consistency::linearizable, 0, caller);
  cluster.settle();
  REQUIRE(cluster.until([&] { return caller.answered; }));
  CHECK(caller.error.text.empty());
  CHECK(caller.waiting.kind == WaitingCall::Kind::none);
  cluster.node(2).abandon(caller.waiting);
}

TEST_CASE("a parked write whose caller is gone is never proposed") {
  Cluster cluster;
  cluster.form(3);
  cluster.isolate(2);
  REQUIRE(cluster.until([&] { return cluster.node(2).core().leader().value == 0; }));
  Caller caller;
  write(cluster.node(2), "k", caller);
  cluster.settle();
  REQUIRE_FALSE(caller.answered);
  cluster.node(2).abandon(caller.waiting);
  cluster.settle();
  CHECK(caller.answered);
  CHECK(caller.error.code == Errc::unavailable);
  CHECK(cluster.node(2).status().waiters == 0);
  cluster.heal();
  cluster.wait_for_leader();
  cluster.tick(50);
  CHECK(cluster.value(2, "k").empty());
}

TEST_CASE("a write that moves from parked to proposed can still be given up; it may be done") {
  Cluster cluster;
  cluster.form(3);
  cluster.isolate(2);
  REQUIRE(cluster.until([&] { return cluster.node(2).core().leader().value == 0; }));
  Caller caller;
  write(cluster.node(2), "k", caller);
  cluster.settle();
  const WaiterHandle parked = caller.waiting.handle;
  cluster.heal();
  for (std::uint64_t id : {1, 2, 3}) cluster.at(id).hold_log = true;
  REQUIRE(cluster.until([&] { return caller.answered || caller.waiting.handle != parked; }));
  REQUIRE_FALSE(caller.answered);
  cluster.node(2).abandon(caller.waiting);
  cluster.settle();
  CHECK(caller.answered);
  CHECK(caller.error.code == Errc::unknown_outcome);
  CHECK(cluster.node(2).status().waiters == 0);
  for (std::uint64_t id : {1, 2, 3}) cluster.at(id).hold_log = false;
  REQUIRE(cluster.until([&] { return cluster.value(2, "k") == "value"; }));
}

TEST_CASE("a proposed write whose caller is gone is answered as unknown, once") {
  Cluster cluster;
  cluster.form(3);
  for (std::uint64_t id : {2, 3}) cluster.at(id).hold_log = true;
  Caller caller;
  write(cluster.node(1), "k", caller);
  cluster.tick(2);
  REQUIRE_FALSE(caller.answered);
  cluster.node(1).abandon(caller.waiting);
  cluster.settle();
  CHECK(caller.error.code == Errc::unknown_outcome);
  caller.answered = false;
  for (std::uint64_t id : {2, 3}) cluster.at(id).hold_log = false;
  REQUIRE(cluster.until([&] { return cluster.value(1, "k") == "value"; }));
  CHECK_FALSE(caller.answered);
}

}  // namespace
}  // namespace iris::test
