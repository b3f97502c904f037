// Writes: proposed, forwarded, parked; the outcome of those whose leader is lost; their limits.
#include "tests/node/cluster.h"

#include "tests/catch.h"  // last: its CHECK must not stand in for raft/check.h's

namespace iris::test {
namespace {

TEST_CASE("a forwarded command is answered with what it did, refusals too") {
  Cluster cluster;
  cluster.form(3);
  const WriteAnswer made = cluster.submit(2, SetValue{"source", "k", "v", 0});
  cluster.settle();
  REQUIRE(made->ok());
  CHECK(made->got.front()->code == Outcome::Code::done);
  const WriteAnswer again = cluster.submit(3, SetValue{"source", "k", "w", 0});
  cluster.settle();
  REQUIRE(again->ok());
  CHECK(again->got.front()->code == Outcome::Code::condition_failed);
  CHECK(again->got.front()->revision == made->got.front()->revision);
}

TEST_CASE("without a leader a write waits for one, and is done when it comes") {
  Cluster cluster;
  cluster.form(3);
  cluster.crash(1);
  cluster.isolate(2);
  REQUIRE(cluster.until([&] { return cluster.node(2).core().leader().value == 0; }));
  const WriteAnswer wrote = cluster.set(2, "sky", "blue");
  cluster.settle();
  CHECK(wrote->pending());
  cluster.heal();
  REQUIRE(cluster.until([&] { return !wrote->pending(); }));
  CHECK(wrote->ok());
}

TEST_CASE("without a leader until its deadline a write is unavailable: never proposed (42)") {
  Cluster cluster;
  cluster.form(3);
  cluster.crash(1);
  cluster.crash(2);
  REQUIRE(cluster.until([&] { return cluster.node(3).core().leader().value == 0; }));
  const WriteAnswer wrote = cluster.set(3, "sky", "blue", 200);
  cluster.tick(19);
  CHECK(wrote->pending());
  cluster.tick(1);
  CHECK(wrote->failed(Errc::unavailable));
  cluster.restart(1);
  cluster.restart(2);
  cluster.wait_for_leader();
  cluster.tick(50);
  CHECK(cluster.value(3, "sky").empty());
}

TEST_CASE("a write that was proposed and not decided in time is unknown, not failed (42)") {
  Cluster cluster;
  cluster.form(3);
  for (std::uint64_t id : {2, 3}) cluster.at(id).hold_log = true;
  const WriteAnswer wrote = cluster.set(1, "sky", "blue", 50);
  cluster.tick(5);
  CHECK(wrote->failed(Errc::unknown_outcome));
  for (std::uint64_t id : {2, 3}) cluster.at(id).hold_log = false;
  cluster.tick(5);
  CHECK(cluster.value(1, "sky") == "blue");  // in the end it was done
  CHECK(wrote->got.size() == 1);
}

TEST_CASE("a deposed leader's command that another entry displaced was not done (41, 42)") {
  Cluster cluster;
  cluster.form(3);
  cluster.isolate(1);
  const WriteAnswer wrote = cluster.set(1, "sky", "blue", 60'000);
  cluster.settle();
  REQUIRE(cluster.until([&] { return cluster.leader() > 1; }));
  const WriteAnswer other = cluster.set(cluster.leader(), "sky", "grey");
  REQUIRE(cluster.until([&] { return other->ok(); }));
  CHECK(wrote->pending());  // node 1 cannot know yet
  cluster.heal();
  REQUIRE(cluster.until([&] { return !wrote->pending(); }));
  CHECK(wrote->failed(Errc::unavailable));
  REQUIRE(cluster.until([&] { return cluster.value(1, "sky") == "grey"; }));
}

TEST_CASE("a deposed leader's command that survived is answered as done (42)") {
  Cluster cluster;
  cluster.form(3);
  // It reaches node 2, no acknowledgement comes back, and node 2 leads next.
  cluster.cut(1, 3);
  cluster.cut(2, 1);
  const WriteAnswer wrote = cluster.set(1, "sky", "blue", 60'000);
  cluster.settle();
  cluster.isolate(1);
  REQUIRE(cluster.until([&] { return cluster.leader() == 2; }));
  CHECK(wrote->pending());
  cluster.heal();
  REQUIRE(cluster.until([&] { return !wrote->pending(); }));
  REQUIRE(wrote->ok());
  CHECK(cluster.value(3, "sky") == "blue");
}

TEST_CASE("commands of two leaderships of one node at the same index are told apart (31, 42)") {
  Cluster cluster;
  cluster.form(3);
  cluster.isolate(1);
  const WriteAnswer first = cluster.set(1, "k", "first", 600'000);
  cluster.settle();
  REQUIRE(cluster.until([&] { return cluster.leader() > 1; }));
  const std::uint64_t second_leader = cluster.leader();
  cluster.heal();
  REQUIRE(cluster.until([&] { return !first->pending(); }));
  CHECK(first->failed(Errc::unavailable));
  const AdminAnswer moved = cluster.transfer(second_leader, 1);
  REQUIRE(cluster.until([&] { return moved->ok() && cluster.leader() == 1; }));
  const WriteAnswer again = cluster.set(1, "k", "again");
  REQUIRE(cluster.until([&] { return again->ok(); }));
  CHECK(first->got.size() == 1);
  CHECK(cluster.value(1, "k") == "again");
}

TEST_CASE("a forwarded command whose leader dies is unknown soon after the next one leads (80)") {
  Cluster cluster;
  cluster.form(3);
  cluster.keep = keep_all<ForwardRequest>();
  const WriteAnswer wrote = cluster.set(2, "sky", "blue", 60'000);
  cluster.settle();
  REQUIRE(cluster.kept.size() == 1);
  cluster.crash(1);
  REQUIRE(cluster.until([&] { return cluster.leader() > 1; }));
  CHECK(wrote->pending());  // as far as node 2 knows, the new leader may have it in its log
  cluster.tick(15);
  CHECK(wrote->failed(Errc::unknown_outcome));
  cluster.tick(100);
  CHECK(cluster.value(2, "sky").empty());  // it was not sent again
}

TEST_CASE("a write after the leader's connection broke waits for the next leader (42, 80)") {
  Cluster cluster;
  cluster.form(3);
  const std::uint64_t old_leader = cluster.leader();
  const std::uint64_t follower = old_leader % 3 + 1;
  cluster.crash(old_leader);
  cluster.at(follower).transport->broken.insert({old_leader});
  const WriteAnswer answer = cluster.set(follower, "key", "value");
  cluster.settle();
  REQUIRE(answer->pending());
  // The command certainly has not left node 2, so the next leader may take it at once.
  REQUIRE(cluster.until([&] { return !answer->pending(); }));
  CHECK(answer->ok());
}

TEST_CASE("a command that a former leader did not propose is sent again (80)") {
  Cluster cluster;
  cluster.form(3);
  cluster.keep = keep_all<ForwardRequest>();
  const WriteAnswer wrote = cluster.set(2, "sky", "blue", 60'000);
  cluster.settle();
  REQUIRE(cluster.kept.size() == 1);
  const AdminAnswer moved = cluster.transfer(1, 3);
  // Node 2 has not heard of the new leader when the old one answers.
  cluster.cut(3, 2);
  REQUIRE(cluster.until([&] { return cluster.node(3).core().role() == raft::Role::leader; }));
  CHECK(wrote->pending());
  cluster.deliver_kept();
  CHECK(wrote->pending());
  cluster.heal();
  REQUIRE(cluster.until([&] { return !wrote->pending(); }));
  CHECK(wrote->ok());
  CHECK(cluster.at(3).applied.size() == 1);
}

TEST_CASE("a forwarded command is never sent twice, even where the answer is lost (78, 80)") {
  Cluster cluster;
  cluster.form(3);
  cluster.keep = keep_all<ForwardReply>();
  const WriteAnswer wrote = cluster.set(2, "sky", "blue", 300);
  cluster.tick(29);
  CHECK(wrote->pending());
  CHECK(cluster.value(2, "sky") == "blue");
  cluster.tick(1);
  CHECK(wrote->failed(Errc::unknown_outcome));
  cluster.deliver_kept();
  cluster.tick(100);
  CHECK(wrote->got.size() == 1);
  CHECK(cluster.at(1).applied.size() == 1);
}

TEST_CASE("a command whose outcome its leader does not know is unknown, and not sent again (80)") {
  Cluster cluster;
  cluster.form(3);
  for (std::uint64_t id : {2, 3}) cluster.at(id).hold_log = true;
  const WriteAnswer wrote = cluster.set(2, "sky", "blue", 60'000);
  cluster.settle();
  REQUIRE(wrote->pending());
  cluster.node(1).stop();  // the command is proposed; the other nodes decide what becomes of it
  cluster.settle();
  CHECK(wrote->failed(Errc::unknown_outcome));
  for (std::uint64_t id : {2, 3}) cluster.at(id).hold_log = false;
  cluster.crash(1);
  REQUIRE(cluster.until([&] { return cluster.leader() > 1; }));
  cluster.tick(100);
  CHECK(cluster.at(2).applied.size() == 1);  // the followers had it in their logs
}

TEST_CASE("an answer to a former life of this node is nobody's (hazards 74, 108)") {
  Cluster cluster;
  cluster.form(3);
  cluster.keep = keep_all<ForwardReply>();
  cluster.set(2, "old", "x");
  cluster.settle();
  REQUIRE(cluster.kept.size() == 1);
  Packet old = cluster.kept.front();
  cluster.kept.clear();
  cluster.crash(2);
  cluster.restart(2);
  REQUIRE(cluster.until([&] { return cluster.node(2).core().leader().value == 1; }));
  const WriteAnswer wrote = cluster.set(2, "new", "x");
  cluster.settle();
  cluster.keep = nullptr;
  cluster.wire.push_back(std::move(old));
  cluster.settle();
  CHECK(wrote->pending());
  cluster.deliver_kept();
  CHECK(wrote->ok());
}

TEST_CASE("the outcome of a command whose log a snapshot replaced is unknown (42, 59)") {
  NodeOptions options = Cluster::small();
  options.log_entries_max = 8;
  Cluster cluster(options);
  cluster.form(3);
  cluster.isolate(1);
  const WriteAnswer wrote = cluster.set(1, "sky", "blue", 600'000);
  cluster.settle();
  REQUIRE(cluster.until([&] { return cluster.leader() > 1; }));
  const std::uint64_t leader = cluster.leader();
  WriteAnswer last;
  for (int i = 0; i < 50; ++i) last = cluster.set(leader, "k", std::to_string(i));
  REQUIRE(cluster.until([&] { return last->ok(); }));
  cluster.tick(50);
  REQUIRE(cluster.node(leader).floor().value > 20);
  cluster.heal();
  REQUIRE(cluster.until([&] { return !wrote->pending(); }));
  CHECK(wrote->failed(Errc::unknown_outcome));
}

TEST_CASE("nothing is proposed while leadership is handed over; it goes to the next leader (41)") {
  Cluster cluster;
  cluster.form(3);
  cluster.cut(2, 1);  // for the leader, node 2 lags
  cluster.cut(1, 2);
  const WriteAnswer before = cluster.set(1, "a", "1");
  REQUIRE(cluster.until([&] { return before->ok(); }));
  cluster.heal();
  const AdminAnswer moved = cluster.transfer(1, 2);
  const WriteAnswer during = cluster.set(1, "b", "2");
  CHECK(during->pending());
  REQUIRE(cluster.until([&] { return !moved->pending() && !during->pending(); }));
  CHECK(moved->ok());
  CHECK(during->ok());
  CHECK(cluster.leader() == 2);
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

}  // namespace
}  // namespace iris::test
