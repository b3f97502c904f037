// Limits: each at it and one over; the log's length; a disk that is nearly full.
#include "tests/node/cluster.h"

#include "tests/catch.h"  // last: its CHECK must not stand in for raft/check.h's

namespace iris::test {
namespace {

TEST_CASE("waiters_max calls may wait, of all kinds together; one more is refused (115)") {
  NodeOptions options = Cluster::small();
  options.waiters_max = 3;
  Cluster cluster(options);
  cluster.add(1);  // of no cluster: everything waits
  const WriteAnswer a = cluster.set(1, "a", "1", 100);
  const ReadAnswer b = cluster.read(1, Consistency::linearizable, 0, 100);
  const ReadAnswer c = cluster.read(1, Consistency::stale, 9, 100);
  const WriteAnswer d = cluster.set(1, "d", "1", 100);
  const ReadAnswer e = cluster.read(1, Consistency::linearizable, 0, 100);
  cluster.settle();
  CHECK(a->pending());
  CHECK(b->pending());
  CHECK(c->pending());
  CHECK(d->failed(Errc::limit));
  CHECK(d->text().find("waiters_max") != std::string::npos);
  CHECK(e->failed(Errc::limit));
  CHECK(cluster.node(1).status().waiters == 3);
  cluster.tick(10);
  CHECK(a->failed(Errc::unavailable));
  CHECK(b->failed(Errc::unavailable));
  CHECK(c->failed(Errc::unavailable));
  const WriteAnswer f = cluster.set(1, "f", "1", 100);
  cluster.settle();
  CHECK(f->pending());
}

TEST_CASE("a command of entry_bytes_max bytes is taken, one more byte is not (40)") {
  NodeOptions options = Cluster::small();
  const SetValue probe{"source", "k", std::string(100, 'x'), std::nullopt};
  options.raft.entry_bytes_max = encode(probe).size();
  Cluster cluster(options);
  cluster.form(3);
  for (std::uint64_t id : {1, 2}) {
    SetValue operation = probe;
    const WriteAnswer at = cluster.submit(id, operation);
    operation.value += 'x';
    const WriteAnswer over = cluster.submit(id, operation);
    cluster.settle();
    CHECK(at->ok());
    CHECK(over->failed(Errc::limit));
    CHECK(over->text().find("entry_bytes_max") != std::string::npos);
  }
}

TEST_CASE("commands that wait are bounded in bytes (112)") {
  NodeOptions options = Cluster::small();
  const SetValue operation{"source", "k", std::string(100, 'x'), std::nullopt};
  options.waiting_bytes_max = 2 * encode(operation).size();
  Cluster cluster(options);
  cluster.add(1);
  const WriteAnswer a = cluster.submit(1, operation, 100);
  const WriteAnswer b = cluster.submit(1, operation, 100);
  const WriteAnswer c = cluster.submit(1, operation, 100);
  cluster.settle();
  CHECK(a->pending());
  CHECK(b->pending());
  CHECK(c->failed(Errc::limit));
  CHECK(c->text().find("waiting_bytes_max") != std::string::npos);
  cluster.tick(10);
  const WriteAnswer d = cluster.submit(1, operation, 100);
  cluster.settle();
  CHECK(d->pending());
}

TEST_CASE("a leader whose data lane lags proposes no more past unapplied_bytes_max (66, 115)") {
  NodeOptions options = Cluster::small();
  options.unapplied_bytes_max = 1000;
  Cluster cluster(options);
  cluster.form(1);
  cluster.at(1).hold_data = true;
  WriteAnswer last;
  int taken = 0;
  for (; taken < 100; ++taken) {
    last = cluster.set(1, "k", std::string(100, 'x'));
    cluster.settle();
    if (!last->pending()) break;
  }
  CHECK(taken > 2);
  CHECK(taken < 10);
  CHECK(last->failed(Errc::limit));
  cluster.at(1).hold_data = false;
  cluster.settle();
  const WriteAnswer again = cluster.set(1, "k", "x");
  cluster.settle();
  CHECK(again->ok());
}

NodeOptions impatient() {
  NodeOptions options = Cluster::small();
  options.raft.disk_stall_ticks = 30;
  return options;
}

TEST_CASE("a leader whose data lane hangs hands leadership over (104)") {
  Cluster cluster(impatient());
  cluster.form(3);
  cluster.tick(100);  // nothing to apply is no stall
  REQUIRE(cluster.leader() == 1);
  cluster.at(1).hold_data = true;
  const WriteAnswer stuck = cluster.set(1, "k", "1");
  cluster.tick(29);
  CHECK(cluster.leader() == 1);
  CHECK(stuck->pending());
  REQUIRE(cluster.until([&] { return cluster.leader() > 1; }, 5));
  for (std::uint64_t id : {1, 2, 3}) {
    const WriteAnswer wrote = cluster.set(id, "k", std::to_string(id));
    CHECK(cluster.until([&] { return wrote->ok(); }, 20));
  }
  const ReadAnswer read = cluster.read(2);
  CHECK(cluster.until([&] { return read->ok(); }, 20));
  cluster.at(1).hold_data = false;
  cluster.settle();
  CHECK(stuck->ok());
}

TEST_CASE("a leader whose data lane is slow but gets on goes on leading (104)") {
  Cluster cluster(impatient());
  cluster.form(3);
  cluster.at(1).hold_data = true;
  cluster.set(1, "k", "first");
  cluster.settle();
  const raft::Index before = cluster.node(1).applied();
  for (int i = 0; i < 20; ++i) {
    cluster.set(1, "k", std::to_string(i));
    cluster.settle();
    for (int step = 0; step < 2; ++step) cluster.at(1).store->run(sim::Lane::data);
    cluster.tick(20);
    REQUIRE(cluster.leader() == 1);
    REQUIRE(cluster.node(1).core().status().commit > cluster.node(1).applied());
  }
  CHECK(cluster.node(1).applied() > before);
}

TEST_CASE("where every data lane hangs, leadership moves no oftener than that takes to see (104)") {
  Cluster cluster(impatient());
  cluster.form(3);
  for (std::uint64_t id : {1, 2, 3}) cluster.at(id).hold_data = true;
  const WriteAnswer stuck = cluster.set(1, "k", "v");
  const raft::Term before = cluster.node(1).core().term();
  cluster.tick(300);
  CHECK(cluster.node(1).core().term().value > before.value);
  CHECK(cluster.node(1).core().term().value <= before.value + 10);
  for (std::uint64_t id : {1, 2, 3}) cluster.at(id).hold_data = false;
  CHECK(cluster.until([&] { return stuck->ok(); }));

  Cluster alone(impatient());
  alone.form(1);
  alone.at(1).hold_data = true;
  const WriteAnswer waits = alone.set(1, "k", "v");
  alone.tick(100);
  CHECK(alone.leader() == 1);
  alone.at(1).hold_data = false;
  CHECK(alone.until([&] { return waits->ok(); }));
}

TEST_CASE("a follower whose data lane lags takes little more past unapplied_bytes_max (66, 112)") {
  NodeOptions options = Cluster::small();
  options.unapplied_bytes_max = 1000;
  options.raft.window_bytes_max = 2000;
  Cluster cluster(options);
  cluster.form(3);
  cluster.at(3).hold_data = true;
  const auto write = [&](int count) {
    for (; count > 0; --count) {
      const WriteAnswer wrote = cluster.set(1, "k", std::string(100, 'x'));
      REQUIRE(cluster.until([&] { return wrote->ok(); }, 5));
    }
  };
  const auto unapplied = [&] {
    const raft::CoreStatus status = cluster.node(3).core().status();
    return status.last.value - status.applied.value;
  };
  write(100);
  // An entry counts for 64 bytes more than its command: the limit is 6 of them, a window 12.
  CHECK(unapplied() > 6);
  CHECK(unapplied() < 6 + 12 + 3);
  cluster.tick(50);
  CHECK(unapplied() < 6 + 12 + 3);
  CHECK(cluster.leader() == 1);

  cluster.at(3).hold_data = false;
  REQUIRE(cluster.until([&] { return unapplied() == 0; }, 20));
  const raft::Index last = cluster.node(1).core().status().last;
  CHECK(cluster.until([&] { return cluster.node(3).applied() == last; }, 20));
}

TEST_CASE("a quorum that needs a lagging follower waits for it, and loses nothing (66, 112)") {
  NodeOptions options = Cluster::small();
  options.unapplied_bytes_max = 1000;
  Cluster cluster(options);
  cluster.form(2);
  cluster.at(2).hold_data = true;
  WriteAnswer last;
  int done = 0;
  for (; done < 100; ++done) {
    last = cluster.set(1, "k" + std::to_string(done), std::string(100, 'x'));
    cluster.tick(5);
    if (last->pending()) break;
  }
  CHECK(done < 20);
  cluster.tick(100);
  CHECK(last->pending());
  cluster.at(2).hold_data = false;
  CHECK(cluster.until([&] { return last->ok(); }, 10));
  const std::string key = "k" + std::to_string(done);
  CHECK(cluster.until([&] { return cluster.value(2, key) == std::string(100, 'x'); }, 10));
}

TEST_CASE("a nearly full disk refuses growth and nothing else, and recovers by itself (96)") {
  NodeOptions options = Cluster::small();
  options.disk_reserve_bytes = 1'000'000;
  Cluster cluster(options);
  cluster.form(3);
  const WriteAnswer before = cluster.set(1, "k", "v");
  cluster.settle();
  REQUIRE(before->ok());
  cluster.disk(1).profile.capacity_bytes = cluster.disk(1).used_bytes() + 999'999;
  cluster.tick(110);
  // Also what another node, with room, forwards to it.
  for (std::uint64_t id : {1, 2}) {
    const WriteAnswer grown = cluster.set(id, "k", "w");
    const WriteAnswer subscribed = cluster.submit(id, Subscribe{"S", "source", std::nullopt});
    const WriteAnswer removed = cluster.submit(id, RemoveValue{"source", "absent", std::nullopt});
    const ReadAnswer read = cluster.read(id);
    cluster.settle();
    CHECK(grown->failed(Errc::limit));
    CHECK(grown->text().find("-disk-reserve-bytes") != std::string::npos);
    CHECK(subscribed->failed(Errc::limit));
    CHECK(removed->ok());
    CHECK(read->ok());
  }
  // Not by turns: only with an eighth more.
  cluster.disk(1).profile.capacity_bytes = cluster.disk(1).used_bytes() + 1'124'999;
  cluster.tick(110);
  const WriteAnswer too_soon = cluster.set(1, "k", "w");
  cluster.settle();
  CHECK(too_soon->failed(Errc::limit));
  CHECK(cluster.node(1).status().disk_low);
  cluster.disk(1).profile.capacity_bytes = cluster.disk(1).used_bytes() + 1'125'000;
  cluster.tick(85);  // nor for less than a second
  CHECK(cluster.node(1).status().disk_low);
  cluster.disk(1).profile.capacity_bytes -= 1;
  cluster.tick(15);
  cluster.disk(1).profile.capacity_bytes += 1;
  cluster.tick(85);
  CHECK(cluster.node(1).status().disk_low);
  cluster.tick(25);
  CHECK_FALSE(cluster.node(1).status().disk_low);
  const WriteAnswer after = cluster.set(1, "k", "w");
  cluster.settle();
  CHECK(after->ok());
}

std::uint64_t length(Cluster& cluster, std::uint64_t id) {
  const raft::CoreStatus status = cluster.node(id).core().status();
  return status.last.value + 1 - status.first.value;
}

void write(Cluster& cluster, int count, std::size_t bytes = 10) {
  for (int i = 0; i < count; ++i) {
    const WriteAnswer wrote = cluster.set(1, "k", std::string(bytes, 'x'));
    REQUIRE(cluster.until([&] { return wrote->ok(); }));
  }
}

TEST_CASE("the log is kept within its entries and its bytes (66, 112)") {
  NodeOptions options = Cluster::small();
  SECTION("entries") { options.log_entries_max = 32; }
  SECTION("bytes") {
    const SetValue written{"source", "k", std::string(10, 'x'), std::nullopt};
    options.log_bytes_max = 32 * (encode(written).size() + raft::entry_overhead_bytes);
  }
  Cluster cluster(options);
  cluster.form(3);
  for (int i = 0; i < 20; ++i) {
    write(cluster, 10);
    cluster.tick(3);
    for (std::uint64_t id : {1, 2, 3}) CHECK(length(cluster, id) <= 64);
  }
  CHECK(length(cluster, 1) > 4);  // it is not thrown away needlessly
  for (std::uint64_t id : {1, 2, 3}) {
    const auto& trimmed = cluster.at(id).trimmed;
    REQUIRE_FALSE(trimmed.empty());
    CHECK(trimmed.back() == cluster.node(id).floor());
    CHECK(cluster.node(id).core().entry(trimmed.back()) == nullptr);
    CHECK(cluster.node(id).core().entry(trimmed.back().next()) != nullptr);
    // Only once the data that contains it is on disk (hazard 65).
    CHECK(cluster.disk(id).durable_data().applied.index >= trimmed.back());
  }
}

TEST_CASE("nothing is trimmed that is not applied (65)") {
  NodeOptions options = Cluster::small();
  options.log_entries_max = 8;
  Cluster cluster(options);
  cluster.form(1);
  cluster.at(1).hold_data = true;
  const raft::Index floor = cluster.node(1).floor();
  for (int i = 0; i < 50; ++i) cluster.set(1, "k", "v");
  cluster.tick(20);
  CHECK(cluster.node(1).floor() == floor);
  cluster.at(1).hold_data = false;
  cluster.tick(20);
  CHECK(cluster.node(1).floor() > floor);
}

TEST_CASE("a follower that is a little behind holds the log back, up to twice its limit (66)") {
  NodeOptions options = Cluster::small();
  options.log_entries_max = 32;
  Cluster cluster(options);
  cluster.form(3);
  cluster.at(3).hold_log = true;  // alive, but acknowledges nothing
  const raft::Index match = cluster.node(3).core().status().stable;
  write(cluster, 45);
  cluster.tick(5);
  CHECK(cluster.node(1).floor() <= match);
  CHECK(length(cluster, 1) > 32);
  write(cluster, 45);
  cluster.tick(5);
  CHECK(cluster.node(1).floor() > match);
  CHECK(length(cluster, 1) <= 64);
}

TEST_CASE("a dead follower does not hold the log back (66, 120)") {
  NodeOptions options = Cluster::small();
  options.log_entries_max = 32;
  Cluster cluster(options);
  cluster.form(3);
  cluster.crash(3);
  cluster.tick(15);
  for (int i = 0; i < 10; ++i) {
    write(cluster, 8);
    cluster.tick(3);
    CHECK(length(cluster, 1) <= 45);
  }
}

}  // namespace
}  // namespace iris::test
