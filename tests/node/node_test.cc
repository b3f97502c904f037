// The calls of Node as a whole: bootstrap, stop, resign, and the limit of all calls together.
#include <algorithm>

#include "tests/node/cluster.h"

#include "tests/catch.h"  // last: its CHECK must not stand in for raft/check.h's

namespace iris::test {
namespace {

TEST_CASE("a lone node is bootstrapped, leads, and serves") {
  Cluster cluster;
  cluster.add(1);
  CHECK_FALSE(cluster.node(1).initialized());
  cluster.node(1).bootstrap();
  CHECK(cluster.node(1).initialized());
  cluster.settle();
  CHECK(cluster.leader() == 1);
  CHECK(cluster.node(1).cluster().value != 0);
  const WriteAnswer wrote = cluster.set(1, "sky", "blue");
  const ReadAnswer read = cluster.read(1);
  cluster.settle();
  REQUIRE(wrote->ok());
  CHECK(read->ok());
  CHECK(cluster.value(1, "sky") == "blue");
  CHECK(wrote->got.front()->revision == cluster.node(1).applied().value);
}

TEST_CASE("a crash between the first entry and the cluster's id ends in one cluster all the same") {
  Cluster cluster;
  cluster.add(1).hold_log = true;
  cluster.node(1).bootstrap();
  cluster.settle();
  auto& store = *cluster.at(1).store;
  REQUIRE(store.run(sim::Lane::log));  // the entry is on disk, and the node has not heard it
  SECTION("before the id is on its way") {}
  SECTION("while it is") {
    REQUIRE(store.run(sim::Lane::log));
    cluster.tick(50);
    CHECK(cluster.node(1).core().term().value == 1);  // it takes no part before it belongs
    CHECK(cluster.node(1).cluster().value == 0);
  }
  cluster.crash(1);
  cluster.restart(1);
  CHECK(cluster.node(1).initialized());
  REQUIRE(cluster.until([&] { return cluster.leader() == 1; }));
  CHECK(cluster.node(1).cluster().value != 0);
  CHECK(cluster.set(1, "a", "b") != nullptr);
  const raft::ClusterId cluster_id = cluster.node(1).cluster();
  cluster.crash(1);
  cluster.restart(1);
  REQUIRE(cluster.until([&] { return cluster.leader() == 1; }));
  CHECK(cluster.node(1).cluster() == cluster_id);
}

TEST_CASE("three nodes replicate the writes that any of them took") {
  Cluster cluster;
  cluster.form(3);
  std::vector<WriteAnswer> answers;
  for (std::uint64_t id : {1, 2, 3}) {
    answers.push_back(cluster.set(id, "from-" + std::to_string(id), "x"));
  }
  REQUIRE(cluster.until([&] {
    return std::all_of(answers.begin(), answers.end(), [](const auto& each) { return each->ok(); });
  }));
  REQUIRE(cluster.until([&] {
    return cluster.node(2).applied() == cluster.node(1).applied() &&
           cluster.node(3).applied() == cluster.node(1).applied();
  }));
  for (std::uint64_t seen_by : {1, 2, 3}) {
    for (std::uint64_t told : {1, 2, 3}) {
      CHECK(cluster.value(seen_by, "from-" + std::to_string(told)) == "x");
    }
    CHECK(cluster.at(seen_by).applied.size() == 3);
  }
  CHECK(cluster.disk(1).data().digest() == cluster.disk(2).data().digest());
}

TEST_CASE("stop() answers each call once: not proposed is unavailable, proposed is unknown (42)") {
  Cluster cluster;
  cluster.form(3);
  for (std::uint64_t id : {2, 3}) cluster.at(id).hold_log = true;
  const WriteAnswer proposed = cluster.set(1, "a", "1");
  cluster.settle();
  const WriteAnswer forwarded = cluster.set(2, "b", "1");
  cluster.settle();
  cluster.at(3).paused = true;
  cluster.add(4);
  const WriteAnswer parked = cluster.set(4, "c", "1");
  const ReadAnswer read = cluster.read(4);
  cluster.settle();
  for (std::uint64_t id : {1, 2, 4}) cluster.node(id).stop();
  CHECK(proposed->failed(Errc::unknown_outcome));
  CHECK(forwarded->failed(Errc::unknown_outcome));
  CHECK(parked->failed(Errc::unavailable));
  CHECK(read->failed(Errc::unavailable));
  const WriteAnswer late = cluster.set(1, "d", "1");
  cluster.settle();
  CHECK(late->failed(Errc::unavailable));
  CHECK(cluster.node(1).status().waiters == 0);
}

TEST_CASE("resign() hands leadership to the best voter; alone or following it is over at once") {
  Cluster cluster;
  cluster.form(3);
  int done = 0;
  cluster.node(1).resign(1000, [&] { ++done; });
  CHECK(done == 0);
  REQUIRE(cluster.until([&] { return done == 1; }, 30));
  CHECK(cluster.until([&] { return cluster.leader() > 1; }, 30));
  cluster.node(1).resign(1000, [&] { ++done; });
  cluster.settle();
  CHECK(done == 2);

  Cluster alone;
  alone.form(1);
  alone.node(1).resign(1000, [&] { ++done; });
  alone.settle();
  CHECK(done == 3);
}

TEST_CASE("sessions that a peer serves are told to the hook, if there is one") {
  Cluster cluster;
  cluster.form(1);
  // No hook is set here.
  cluster.node(1).receive({{2}, SessionsServed{{"A", "B"}}});
  cluster.settle();
  CHECK(cluster.leader() == 1);
}

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

}  // namespace
}  // namespace iris::test
