// Corner cases of one core that a script cannot express.
#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "tests/raft/bare.h"

#include "tests/catch.h"  // last: its CHECK must not stand in for raft/check.h's

namespace iris::raft::test {
namespace {

TEST_CASE("nodes that bootstrap the same members form one cluster (hazard 56)") {
  Cluster cluster;
  for (const std::uint64_t node : {1u, 2u, 3u}) {
    cluster.add(node);
    cluster.core(node).bootstrap(voters({1, 2, 3}));
  }
  cluster.settle();
  cluster.elect(2);
  const EntryId last = cluster.propose(2);
  for (const std::uint64_t node : {1u, 2u, 3u}) {
    CHECK(cluster.core(node).commit_index() == last.index);
    CHECK(cluster.core(node).entry(Index{1})->payload == Payload{voters({1, 2, 3})});
  }
}

TEST_CASE(
    "a heartbeat's answer acknowledges nothing in a term that is not durable (hazards 2, 26)") {
  Bare bare = three({1});  // entry 2 is on disk, from before
  bare.disk_waits = true;
  bare.receive(2, 3, AppendRequest{id(1, 2), {}, {}});
  bare.left.clear();
  bare.receive(2, 3, Heartbeat{{}, {}, Round{1}});
  // After a crash this node would be in term 1 again and could follow an earlier leader.
  auto replies = bare.take<HeartbeatReply>();
  REQUIRE(replies.size() == 1);
  CHECK(replies[0].second.verified == Index{2});
  CHECK(replies[0].second.durable == Index{0});
  bare.disk_waits = false;
  bare.settle();
  bare.receive(2, 3, Heartbeat{{}, {}, Round{2}});
  replies = bare.take<HeartbeatReply>();
  CHECK(replies.at(0).second.durable == Index{2});
}

TEST_CASE("messages of an overtaken term are not sent (hazards 1, 2)") {
  Bare bare = three();
  // Two vote requests in one turn: the vote for the first would never be on disk.
  bare.core().step({NodeId{2}, NodeId{1}, Term{2}, VoteRequest{id(1, 1), false}});
  bare.core().step({NodeId{3}, NodeId{1}, Term{3}, VoteRequest{id(1, 1), false}});
  bare.settle();
  const auto replies = bare.take<VoteReply>();
  REQUIRE(replies.size() == 1);
  CHECK(replies[0].first.to == NodeId{3});
  CHECK(bare.host.disk().state == HardState{Term{3}, NodeId{3}, Term{1}});
}

TEST_CASE("messages for others, from itself, and of impossible terms are ignored") {
  Bare bare = three();
  bare.core().step({NodeId{2}, NodeId{3}, Term{5}, Heartbeat{}});
  bare.core().step({NodeId{1}, NodeId{1}, Term{5}, Heartbeat{}});
  bare.core().step({NodeId{0}, NodeId{1}, Term{5}, Heartbeat{}});
  bare.receive(2, ~std::uint64_t{0}, Heartbeat{});
  CHECK(bare.term() == 1);
  CHECK(bare.left.empty());
}

TEST_CASE("a second leader of one term is not followed") {
  Bare bare = three();
  bare.receive(2, 2, AppendRequest{id(1, 1), {}, {entry(2, 2)}});
  bare.left.clear();
  bare.receive(3, 2, AppendRequest{id(1, 1), {}, {entry(2, 2), entry(2, 3)}});
  CHECK(bare.core().leader() == NodeId{2});
  CHECK(bare.last() == 2);
  CHECK(bare.left.empty());
}

// A leader of 1 voter with a learner that has answered up to entry 2.
Bare leader_with_learner(Options options) {
  Bare bare(disk_with(voters({1}, {2})), options);
  bare.lead();
  bare.settle();
  bare.acknowledge(2, 2);
  return bare;
}

TEST_CASE("a learner is promoted at the lag limit and not one entry over it (hazard 52)") {
  for (const std::uint64_t lag : {5u, 6u}) {
    Options options = quick();
    options.promote_lag_entries_max = 5;
    Bare bare = leader_with_learner(options);
    for (std::uint64_t entry = 0; entry < lag; ++entry) {
      REQUIRE(bare.core().propose("x").has_value());
    }
    bare.settle();
    CHECK(bare.host.status().peers.at(0).caught_up == (lag == 5));
    const auto promoted = bare.core().change(Promote{NodeId{2}, {}});
    REQUIRE(promoted.has_value() == (lag == 5));
    if (lag == 6) {
      CHECK(promoted.error().code == Errc::refused);
      CHECK(promoted.error().text == "it has not caught up: it is 6 entries behind");
    }
  }
}

TEST_CASE(
    "a learner that needs longer than an election timeout for a round has not caught up "
    "(hazard 52)") {
  Bare bare = leader_with_learner(quick());
  // The next catch-up round aims at entry 3 and takes 12 ticks; the learner answers heartbeats.
  REQUIRE(bare.core().propose("x").has_value());
  bare.settle();
  for (int tick = 0; tick < 12; ++tick) {
    bare.tick();
    bare.receive(2, bare.term(), HeartbeatReply{{}, Index{2}, Index{2}});
  }
  REQUIRE(bare.core().propose("x").has_value());
  bare.settle();
  bare.acknowledge(2, 3);
  CHECK_FALSE(bare.host.status().peers.at(0).caught_up);
  // The round after that aims at entry 4 and is quick.
  bare.acknowledge(2, 4);
  CHECK(bare.host.status().peers.at(0).caught_up);
}

TEST_CASE("a node whose own log says that it was removed asks, and stops when told (49, 54)") {
  Disk disk = disk_with(voters({1, 2, 3}));
  Members joint = voters({1, 2});
  joint.outgoing = voters({1, 2, 3}).voters;
  disk.entries.push_back(entry(1, 2, joint));
  disk.entries.push_back(entry(1, 3, voters({1, 2})));
  for (const std::uint64_t applied : {2u, 3u}) {
    disk.applied = Index{applied};
    Bare bare(disk, quick(), 3);
    bare.settle();
    REQUIRE_FALSE(bare.host.halted.has_value());  // it may have been admitted again
    bare.tick(19);                                // the longest election timeout
    const bool campaigns =
        std::any_of(bare.left.begin(), bare.left.end(), [](const Message& message) {
          return std::holds_alternative<PreVoteRequest>(message.body);
        });
    CHECK(campaigns == (applied == 2));  // its vote may be needed until its removal is committed
    CHECK(bare.take<HeartbeatReply>().size() == 2);
    bare.receive(1, 1, RemovalNotice{Index{3}, true, {Term{1}, Index{3}}});
    CHECK(bare.host.removed);
  }
}

TEST_CASE("a node that lags in applying acknowledges only applied entries (hazard 112)") {
  Bare bare(disk_with(voters({1, 2, 3})), quick(), 3);
  bare.host.auto_apply = false;
  const auto append = [&](std::uint64_t index, std::uint64_t commit) {
    bare.receive(
        1, 2, AppendRequest{id(index == 2 ? 1 : 2, index - 1), Index{commit}, {entry(2, index)}});
    return bare.take<AppendReply>().back().second;
  };
  const auto beat = [&] {
    bare.receive(1, 2, Heartbeat{Index{2}, Index{0}, Round{1}});
    return bare.take<HeartbeatReply>().back().second;
  };
  CHECK(append(2, 2).index == Index{2});
  CHECK(append(3, 3).index == Index{3});
  bare.host.apply(Index{2});
  bare.core().set_lagging(true);
  const AppendReply reply = append(4, 3);
  CHECK(reply.matched);
  CHECK(reply.index == Index{2});
  CHECK(beat().verified == Index{4});  // nothing was lost
  CHECK(beat().durable == Index{2});
  bare.host.apply(Index{3});
  CHECK(beat().durable == Index{3});
  bare.core().set_lagging(false);
  CHECK(beat().durable == Index{4});
}

TEST_CASE("the same seed gives the same run, and another node another one") {
  const auto campaign_at = [](std::uint64_t seed, std::uint64_t node) {
    Options options;
    options.seed = seed;
    Bare bare(disk_with(voters({1, 2, 3})), options, node);
    std::vector<std::uint32_t> ticks;
    for (std::uint32_t tick = 0; tick < 1000; ++tick) {
      bare.left.clear();
      const Role before = bare.role();
      bare.tick();
      if (before == Role::follower && bare.role() == Role::precandidate) ticks.push_back(tick);
      if (bare.role() == Role::precandidate) {
        bare.receive(node % 3 + 1, bare.term(), PreVoteReply{false});
        bare.receive((node + 1) % 3 + 1, bare.term(), PreVoteReply{false});
      }
    }
    return ticks;
  };
  CHECK(campaign_at(7, 1) == campaign_at(7, 1));
  CHECK(campaign_at(7, 1) != campaign_at(8, 1));
  CHECK(campaign_at(7, 1) != campaign_at(7, 2));
}

TEST_CASE("an empty turn has no output, and taking it twice brings nothing new") {
  Bare bare = three();
  bare.lead();
  bare.acknowledge(2, 2);
  bare.acknowledge(3, 2);
  CHECK_FALSE(bare.core().has_output());
  const Output output = bare.core().take_output();
  CHECK_FALSE(output.write.has_value());
  CHECK(output.send.empty());
  CHECK(output.release.empty());
  CHECK(output.commit.empty());
  CHECK_FALSE(output.role_changed);
}

TEST_CASE("reads that wait are refused when leadership is lost, each once (hazards 42, 72)") {
  Bare bare = three({}, quick());
  bare.lead();
  // One read waits for the first commit of the term, the other for its round.
  REQUIRE(bare.core().read().has_value());
  bare.settle();
  bare.acknowledge(2, 2);
  REQUIRE(bare.core().read().has_value());
  bare.settle();
  CHECK(bare.host.reads.empty());
  bare.receive(3, 9, HeartbeatReply{});
  REQUIRE(bare.host.reads.size() == 2);
  CHECK_FALSE(bare.host.reads[0].granted);
  CHECK_FALSE(bare.host.reads[1].granted);
  CHECK(bare.core().read().error().code == Errc::not_leader);
}

TEST_CASE("a lone voter with learners commits and reads by itself (hazards 6, 30)") {
  Bare bare(disk_with(voters({1}, {2, 3})), quick());
  bare.tick(20);
  REQUIRE(bare.role() == Role::leader);
  REQUIRE(bare.core().propose("x").has_value());
  REQUIRE(bare.core().read().has_value());
  bare.settle();
  CHECK(bare.commit() == 3);
  REQUIRE(bare.host.reads.size() == 1);
  CHECK(bare.host.reads[0].granted);
  bare.tick(100);  // learners do not answer, and their answers are not needed
  CHECK(bare.role() == Role::leader);
}

// --- Strangers: node 9 is in no configuration of the log. Each message below once ended a node.

TEST_CASE("a stranger's removal notice is ignored (hazard 123)") {
  for (const bool hears : {false, true}) {
    Bare bare = three({1});
    if (hears) bare.receive(2, 2, AppendRequest{id(1, 2), {}, {}});
    bare.receive(9, 7, RemovalNotice{Index{1u << 30}, true, id(9, 1u << 30)});
    CHECK_FALSE(bare.host.halted.has_value());
    bare.receive(3, 7, RemovalNotice{Index{1u << 30}, true, id(9, 1u << 30)});
    CHECK(bare.host.halted.has_value());  // node 3 is a member
  }
}

TEST_CASE("a stranger's claim to lead is ignored while the leader is heard (hazard 123)") {
  const std::vector<Body> bodies = {AppendRequest{id(1, 1), Index{1}, {}},
                                    Heartbeat{Index{1}, Index{1}, Round{1}}, TimeoutNow{},
                                    VoteRequest{id(9, 99), true}};
  for (const Body& body : bodies) {
    Bare follower = three({1});
    follower.receive(2, 2, AppendRequest{id(1, 2), {}, {}});
    follower.receive(9, 99, body);
    CHECK(follower.term() == 2);
    CHECK(follower.core().leader() == NodeId{2});

    Bare leader = three({1});
    leader.lead();
    const std::uint64_t term = leader.term();
    leader.receive(9, 99, body);
    CHECK(leader.term() == term);
    CHECK(leader.role() == Role::leader);
  }
}

TEST_CASE("a stranger may lead a node that hears no leader: its log may lag (hazards 43, 123)") {
  Bare bare = three({1});
  bare.receive(9, 99, AppendRequest{id(1, 2), {}, {}});
  CHECK(bare.term() == 99);
  CHECK(bare.core().leader() == NodeId{9});
  bare.receive(9, 99, Heartbeat{{}, {}, Round{1}});  // the same stranger goes on leading
  CHECK(bare.take<HeartbeatReply>().size() == 1);
}

TEST_CASE(
    "a stranger that contradicts what is committed ends no node, a member does (hazard 123)") {
  const auto entry_2 = std::make_shared<const Entry>(Entry{id(98, 2), NoOp{}});
  const std::vector<Body> bodies = {AppendRequest{id(98, 2), {}, {}},
                                    AppendRequest{id(1, 1), {}, {entry_2}},
                                    Heartbeat{{}, Index{1u << 30}, Round{1}}};
  for (const Body& body : bodies) {
    for (const std::uint64_t from : {9u, 3u}) {
      Bare bare = three({1});
      bare.receive(2, 2, AppendRequest{id(1, 2), Index{2}, {}});
      REQUIRE(bare.commit() == 2);
      bare.tick(2 * Options().election_ticks);  // has lost contact with its leader
      bare.receive(from, 99, body);
      CHECK(bare.host.halted.has_value() == (from == 3));
    }
  }
}

}  // namespace
}  // namespace iris::raft::test
