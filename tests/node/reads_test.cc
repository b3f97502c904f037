// Reads: what a read may be served from, on the leader and on followers.
#include "tests/node/cluster.h"

#include "tests/catch.h"  // last: its CHECK must not stand in for raft/check.h's

namespace iris::test {
namespace {

template <class Body>
std::size_t count(const std::vector<Packet>& packets) {
  std::size_t count = 0;
  for (const Packet& packet : packets) count += std::holds_alternative<Body>(packet.body);
  return count;
}

TEST_CASE("any node serves a linearizable read of writes acknowledged anywhere (72, 75, 77)") {
  Cluster cluster;
  cluster.form(3);
  for (std::uint64_t writer : {1, 2, 3}) {
    for (std::uint64_t reader : {1, 2, 3}) {
      const std::string value = std::to_string(writer) + "-" + std::to_string(reader);
      const WriteAnswer wrote = cluster.set(writer, "k", value);
      REQUIRE(cluster.until([&] { return wrote->ok(); }));
      const ReadAnswer read = cluster.read(reader);
      REQUIRE(cluster.until([&] { return read->ok(); }));
      CHECK(cluster.value(reader, "k") == value);
    }
  }
}

TEST_CASE("a read on a follower waits until it has applied what it must show (75)") {
  Cluster cluster;
  cluster.form(3);
  cluster.at(2).hold_data = true;
  const WriteAnswer wrote = cluster.set(1, "k", "v");
  cluster.settle();
  REQUIRE(wrote->ok());
  const ReadAnswer read = cluster.read(2);
  cluster.tick(3);
  CHECK(read->pending());
  cluster.at(2).hold_data = false;
  cluster.settle();
  CHECK(read->ok());
  CHECK(cluster.value(2, "k") == "v");
}

// A fault that was (iris-sim --seed 1040): each answer came a little after the next request.
TEST_CASE("a read over a link slower than the retry time is answered (74)") {
  Cluster cluster;
  cluster.form(3);
  cluster.keep = keep_all<ReadIndexReply>();
  const ReadAnswer read = cluster.read(2);
  std::deque<std::pair<std::uint64_t, Packet>> delayed;
  const std::uint64_t late_ticks = 2 * Cluster::small().raft.election_ticks;
  for (std::uint64_t tick = 0; tick < 20 * late_ticks && read->pending(); ++tick) {
    cluster.tick();
    for (Packet& packet : cluster.kept) {
      delayed.emplace_back(tick + late_ticks, std::move(packet));
    }
    cluster.kept.clear();
    for (; !delayed.empty() && delayed.front().first <= tick; delayed.pop_front()) {
      Packet& packet = delayed.front().second;
      cluster.node(2).receive({packet.from, std::move(packet.body)});
      cluster.settle();
    }
  }
  CHECK(read->ok());
}

TEST_CASE("a deposed leader does not serve a linearizable read (72)") {
  Cluster cluster;
  cluster.form(3);
  cluster.isolate(1);
  const ReadAnswer early = cluster.read(1, Consistency::linearizable, 0, 300);
  REQUIRE(cluster.until([&] { return cluster.leader() > 1; }));
  const WriteAnswer wrote = cluster.set(cluster.leader(), "k", "new");
  REQUIRE(cluster.until([&] { return wrote->ok(); }));
  const ReadAnswer late = cluster.read(1, Consistency::linearizable, 0, 300);
  cluster.tick(40);
  CHECK(early->failed(Errc::unavailable));
  CHECK(late->failed(Errc::unavailable));
}

TEST_CASE("a leader that slept through an election does not answer from before it (16, 72, 76)") {
  Cluster cluster;
  cluster.form(3);
  const WriteAnswer old = cluster.set(1, "k", "old");
  REQUIRE(cluster.until([&] { return old->ok(); }));
  // The acknowledgements of its last heartbeats wait in its sockets when it is stopped.
  cluster.at(1).node->tick();
  cluster.at(1).node->tick();
  cluster.at(1).node->flush();
  cluster.at(1).flush_due = false;
  cluster.at(1).paused = true;
  cluster.settle();
  REQUIRE(cluster.until([&] {
    return cluster.node(2).core().role() == raft::Role::leader ||
           cluster.node(3).core().role() == raft::Role::leader;
  }));
  const std::uint64_t next = cluster.node(2).core().role() == raft::Role::leader ? 2 : 3;
  const WriteAnswer wrote = cluster.set(next, "k", "new");
  REQUIRE(cluster.until([&] { return wrote->ok(); }));
  cluster.at(1).paused = false;
  CHECK(cluster.node(1).core().role() == raft::Role::leader);  // node 1 has not heard of the next
  const ReadAnswer read = cluster.read(1);
  REQUIRE(cluster.until([&] { return !read->pending(); }));
  REQUIRE(read->ok());
  CHECK(cluster.value(1, "k") == "new");
}

TEST_CASE("a follower that slept does not use an old grant for a new read (74, 76)") {
  Cluster cluster;
  cluster.form(3);
  cluster.keep = keep_all<ReadIndexReply>();
  const ReadAnswer before = cluster.read(2);
  cluster.settle();
  REQUIRE(count<ReadIndexReply>(cluster.kept) == 1);
  const Packet old = cluster.kept.front();
  cluster.kept.clear();
  const WriteAnswer wrote = cluster.set(1, "k", "new");
  cluster.settle();
  REQUIRE(wrote->ok());
  const ReadAnswer after = cluster.read(2);
  cluster.settle();
  CHECK(after->pending());
  // The old grant comes now: it serves the read that it was for, and no other.
  cluster.at(2).node->receive({old.from, old.body});
  cluster.settle();
  CHECK(before->ok());
  CHECK(after->pending());
  cluster.deliver_kept();
  CHECK(after->ok());
}

TEST_CASE("an answer that came twice, late, or from another node is ignored (74)") {
  Cluster cluster;
  cluster.form(3);
  cluster.keep = keep_all<ReadIndexReply>();
  const ReadAnswer first = cluster.read(2);
  cluster.settle();
  REQUIRE(cluster.kept.size() == 1);
  const Packet reply = cluster.kept.front();
  cluster.kept.clear();
  // The leader is asked anew, under another id, since its answer did not come in time.
  REQUIRE(cluster.until([&] { return cluster.kept.size() == 1; }, 20));
  CHECK(std::get<ReadIndexReply>(cluster.kept.front().body).id !=
        std::get<ReadIndexReply>(reply.body).id);
  cluster.node(2).receive({reply.from, reply.body});
  cluster.settle();
  CHECK(first->pending());
  cluster.node(2).receive({{3}, cluster.kept.front().body});
  cluster.settle();
  CHECK(first->pending());
  const Packet again = cluster.kept.front();
  cluster.deliver_kept();
  CHECK(first->ok());
  cluster.node(2).receive({again.from, again.body});
  cluster.settle();
  CHECK(first->got.size() == 1);
}

TEST_CASE("a lost request is asked again within the deadline, a lost leader is waited for (74)") {
  Cluster cluster;
  cluster.form(3);
  cluster.keep = keep_all<ReadIndexRequest>();
  const ReadAnswer read = cluster.read(2);
  cluster.settle();
  REQUIRE(cluster.kept.size() == 1);
  cluster.keep = nullptr;
  cluster.kept.clear();
  REQUIRE(cluster.until([&] { return read->ok(); }, 20));

  cluster.crash(1);
  const ReadAnswer through = cluster.read(2);
  REQUIRE(cluster.until([&] { return !through->pending(); }));
  CHECK(through->ok());
}

TEST_CASE("a read is asked anew as soon as another node leads (74)") {
  NodeOptions options = Cluster::small();
  options.raft.election_ticks = 400;  // a lost request would be asked anew after 100
  Cluster cluster(options);
  cluster.form(3);
  cluster.keep = keep_all<ReadIndexRequest>();
  const ReadAnswer read = cluster.read(2);
  cluster.settle();
  cluster.keep = nullptr;
  cluster.tick(2);
  CHECK(read->pending());
  const AdminAnswer moved = cluster.transfer(1, 3);
  REQUIRE(cluster.until([&] { return cluster.node(2).core().leader().value == 3; }, 50));
  cluster.tick(3);
  CHECK(read->ok());
}

TEST_CASE("all reads of a turn share one request, and those after it one more") {
  Cluster cluster;
  cluster.form(3);
  cluster.keep = keep_all<ReadIndexRequest>();
  std::vector<ReadAnswer> reads;
  for (int turn = 0; turn < 5; ++turn) {
    for (int i = 0; i < 100; ++i) reads.push_back(cluster.read(2));
    cluster.settle();
  }
  CHECK(cluster.kept.size() == 2);  // two rounds are under way; other reads wait for the next
  cluster.keep = nullptr;
  for (Packet& packet : cluster.kept) cluster.wire.push_back(std::move(packet));
  cluster.kept.clear();
  std::size_t requests = 0;
  cluster.keep = [&](const Packet& packet) {
    requests += std::holds_alternative<ReadIndexRequest>(packet.body);
    return false;
  };
  cluster.settle();
  CHECK(requests == 3);
  for (const ReadAnswer& read : reads) CHECK(read->ok());
}

TEST_CASE("a new leader serves no read before it has committed an entry of its term (73)") {
  Cluster cluster;
  cluster.form(3);
  const WriteAnswer wrote = cluster.set(1, "k", "v");
  REQUIRE(cluster.until([&] { return wrote->ok(); }));
  cluster.crash(1);
  // The new leader's heartbeats arrive, its entries do not.
  cluster.keep = [](const Packet& packet) {
    return raft_body<raft::AppendRequest>(packet) != nullptr;
  };
  REQUIRE(cluster.until([&] { return cluster.leader() > 1; }));
  const ReadAnswer read = cluster.read(cluster.leader());
  cluster.tick(5);
  CHECK(read->pending());
  cluster.deliver_kept();
  REQUIRE(cluster.until([&] { return read->ok(); }));
}

TEST_CASE("a stale read is served at once, or when min_revision is applied here") {
  Cluster cluster;
  cluster.form(3);
  cluster.isolate(3);
  const WriteAnswer wrote = cluster.set(1, "k", "v");
  REQUIRE(cluster.until([&] { return wrote->ok(); }));
  const std::uint64_t revision = wrote->got.front()->revision;
  const ReadAnswer now = cluster.read(3, Consistency::stale);
  const ReadAnswer later = cluster.read(3, Consistency::stale, revision);
  const ReadAnswer never = cluster.read(3, Consistency::stale, revision + 1000, 100);
  const ReadAnswer here = cluster.read(1, Consistency::stale, revision);
  cluster.settle();
  CHECK(now->ok());
  CHECK(here->ok());
  CHECK(later->pending());
  cluster.heal();
  REQUIRE(cluster.until([&] { return later->ok(); }));
  CHECK(cluster.value(3, "k") == "v");
  REQUIRE(cluster.until([&] { return !never->pending(); }));
  CHECK(never->failed(Errc::unavailable));
}

TEST_CASE("a linearizable read waits for min_revision as well") {
  Cluster cluster;
  cluster.form(3);
  const std::uint64_t next = cluster.node(1).applied().value + 1;
  const ReadAnswer read = cluster.read(2, Consistency::linearizable, next);
  cluster.tick(3);
  CHECK(read->pending());
  const WriteAnswer wrote = cluster.set(1, "k", "v");
  REQUIRE(cluster.until([&] { return read->ok(); }));
  CHECK(wrote->got.front()->revision == next);
}

// A fault that was: each round left a record behind until the index that it was granted was
// applied.
TEST_CASE("rounds whose calls are over leave nothing behind while applying lags (115)") {
  Cluster cluster;
  cluster.form(3);
  cluster.at(1).hold_data = true;
  const WriteAnswer first = cluster.set(1, "k", "1");
  cluster.settle();
  for (std::uint64_t id = 1; id <= 20; ++id) {  // only peers ask
    cluster.node(1).receive({{2}, ReadIndexRequest{id}});
    cluster.settle();
  }
  CHECK(cluster.node(1).status().read_rounds == 0);
  std::vector<ReadAnswer> reads;
  for (int i = 0; i < 20; ++i) {
    reads.push_back(cluster.read(1));
    cluster.settle();
  }
  CHECK(cluster.node(1).status().read_rounds == 1);  // all wait for the same index
  const ReadAnswer late = cluster.read(1, Consistency::linearizable, 0, 50);
  const WriteAnswer second = cluster.set(1, "k", "2");
  cluster.settle();
  const ReadAnswer later = cluster.read(1, Consistency::linearizable, 0, 50);
  cluster.settle();
  CHECK(cluster.node(1).status().read_rounds == 2);
  cluster.tick(5);
  CHECK(late->failed(Errc::unavailable));
  CHECK(later->failed(Errc::unavailable));
  CHECK(cluster.node(1).status().read_rounds == 1);
  cluster.at(1).hold_data = false;
  cluster.settle();
  CHECK(first->ok());
  CHECK(second->ok());
  for (const ReadAnswer& read : reads) CHECK(read->ok());
  CHECK(cluster.node(1).status().read_rounds == 0);
}

TEST_CASE("askers_max read index requests of peers wait for a round; one more is refused (115)") {
  constexpr std::uint64_t askers_max = 4096;
  Cluster cluster;
  cluster.form(3);
  std::vector<std::uint64_t> granted;
  std::vector<std::uint64_t> refused;
  cluster.keep = [&](const Packet& packet) {
    const auto* reply = std::get_if<ReadIndexReply>(&packet.body);
    if (reply != nullptr) (reply->granted ? granted : refused).push_back(reply->id);
    return reply != nullptr;
  };
  for (std::uint64_t id = 1; id <= askers_max + 1; ++id) {
    cluster.node(1).receive({{2}, ReadIndexRequest{id}});
  }
  cluster.settle();
  CHECK(granted.size() == askers_max);
  CHECK(refused == std::vector<std::uint64_t>{askers_max + 1});
}

TEST_CASE("a restarted node serves no linearizable read from its empty memory (75)") {
  Cluster cluster;
  cluster.form(3);
  const WriteAnswer wrote = cluster.set(1, "k", "v");
  REQUIRE(cluster.until([&] { return wrote->ok() && cluster.value(2, "k") == "v"; }));
  cluster.crash(2);
  cluster.restart(2);
  const ReadAnswer read = cluster.read(2);
  REQUIRE(cluster.until([&] { return !read->pending(); }));
  REQUIRE(read->ok());
  CHECK(cluster.value(2, "k") == "v");
}

}  // namespace
}  // namespace iris::test
