// The tests named after sections 5.1 and 5.2 of the paper (Ongaro & Ousterhout 2014): terms and
// elections. Sections 5.3 and 5.4 are in paper_logs_test.cc.
#include <algorithm>
#include <cstdint>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "tests/raft/bare.h"

#include "tests/catch.h"  // last: its CHECK must not stand in for raft/check.h's

namespace iris::raft::test {
namespace {

// --- 5.1

TEST_CASE("5.1 a follower updates its term from a message") {
  Bare bare = three();
  bare.receive(2, 2, AppendRequest{id(1, 1), {}, {}});
  CHECK(bare.term() == 2);
  CHECK(bare.role() == Role::follower);
}

TEST_CASE("5.1 a candidate updates its term from a message") {
  Bare bare = three();
  bare.stand();
  REQUIRE(bare.role() == Role::candidate);
  bare.receive(2, 3, AppendRequest{id(1, 1), {}, {}});
  CHECK(bare.term() == 3);
  CHECK(bare.role() == Role::follower);
  CHECK(bare.core().leader() == NodeId{2});
}

TEST_CASE("5.1 a leader updates its term from a message, also from a reply (hazard 8)") {
  const std::vector<Body> bodies{AppendRequest{id(1, 1), {}, {}},
                                 Heartbeat{},
                                 AppendReply{},
                                 HeartbeatReply{},
                                 VoteReply{},
                                 PreVoteReply{}};
  for (const Body& body : bodies) {
    Bare bare = three();
    bare.lead();
    bare.receive(2, 3, body);
    CHECK(bare.term() == 3);
    CHECK(bare.role() == Role::follower);
  }
}

TEST_CASE("5.1 a message of an earlier term changes nothing") {
  const std::vector<Body> bodies{AppendRequest{id(1, 1), Index{2}, {entry(2, 2)}},
                                 AppendReply{true, Index{2}, {}},
                                 Heartbeat{},
                                 HeartbeatReply{},
                                 VoteRequest{id(9, 9), true},
                                 VoteReply{true},
                                 TimeoutNow{},
                                 PreVoteRequest{id(9, 9)}};
  for (const Body& body : bodies) {
    Bare bare = three({3});
    bare.receive(2, 2, body);
    CHECK(bare.term() == 3);
    CHECK(bare.role() == Role::follower);
    CHECK(bare.core().leader() == NodeId{});
    CHECK(bare.last() == 2);
    CHECK(bare.host.disk().state.vote == NodeId{});
    for (const Message& message : bare.left)
      CHECK(message.term == Term{3});  // the answer carries the later term
  }
}

// --- 5.2

TEST_CASE("5.2 a node starts as a follower") {
  Bare bare = three();
  CHECK(bare.role() == Role::follower);
  CHECK(bare.core().leader() == NodeId{});
}

TEST_CASE("5.2 a leader sends a heartbeat to everybody each interval") {
  Bare bare = three({}, quick());
  bare.lead();
  bare.acknowledge(2, bare.last());
  bare.acknowledge(3, bare.last());
  bare.left.clear();
  bare.tick();
  CHECK(bare.take<Heartbeat>().empty());
  bare.tick();
  const auto beats = bare.take<Heartbeat>();
  REQUIRE(beats.size() == 2);
  CHECK(beats[0].first.to == NodeId{2});
  CHECK(beats[1].first.to == NodeId{3});
  CHECK(beats[0].first.term == Term{2});
}

TEST_CASE("5.2 a follower that hears nobody starts an election") {
  Bare bare = three({}, quick());
  for (int tick = 0; tick < 20 && bare.role() == Role::follower; ++tick) bare.tick();
  // Thesis 9.6: pre-votes first, for the next term; no term moves.
  CHECK(bare.role() == Role::precandidate);
  CHECK(bare.term() == 1);
  const auto pre_votes = bare.take<PreVoteRequest>();
  REQUIRE(pre_votes.size() == 2);
  CHECK(pre_votes[0].first.term == Term{2});
  bare.receive(2, 2, PreVoteReply{true});
  CHECK(bare.role() == Role::candidate);
  CHECK(bare.term() == 2);
  CHECK(bare.host.disk().state == HardState{Term{2}, NodeId{1}, Term{1}});
  const auto requests = bare.take<VoteRequest>();
  REQUIRE(requests.size() == 2);
  CHECK(requests[0].first.term == Term{2});
  CHECK(requests[0].second.last == id(1, 1));
}

TEST_CASE("5.2 a candidate that does not win starts over") {
  Bare bare = three({}, quick());
  bare.stand();
  REQUIRE(bare.role() == Role::candidate);
  bare.left.clear();
  bare.tick(2 * 10);
  CHECK(bare.role() == Role::precandidate);
  CHECK(bare.term() == 2);  // without pre-votes its term stays (hazard 9)
  bare.receive(3, 3, PreVoteReply{true});
  CHECK(bare.role() == Role::candidate);
  CHECK(bare.term() == 3);
}

TEST_CASE("5.2 an election is won by a majority in one round (hazard 5)") {
  struct Case {
    std::uint64_t size;
    std::map<std::uint64_t, bool> votes;
    Role role;
  };
  const std::vector<Case> cases{
      {1, {}, Role::leader},
      {3, {{2, true}, {3, true}}, Role::leader},
      {3, {{2, true}}, Role::leader},
      {5, {{2, true}, {3, true}, {4, true}, {5, true}}, Role::leader},
      {5, {{2, true}, {3, true}}, Role::leader},
      {3, {{2, false}, {3, false}}, Role::follower},
      {5, {{2, false}, {3, false}, {4, false}}, Role::follower},
      {5, {{2, true}, {3, false}, {4, false}, {5, false}}, Role::follower},
      {3, {}, Role::candidate},
      {5, {{2, true}}, Role::candidate},
      {5, {{2, false}, {3, false}}, Role::candidate},
  };
  for (const Case& each : cases) {
    Bare bare(disk_with(voters(ids_up_to(each.size))));
    bare.stand();
    for (const auto& [from, granted] : each.votes) {
      bare.receive(from, 2, VoteReply{granted});
      bare.receive(from, 2, VoteReply{granted});  // a repeated answer counts once
    }
    CHECK(bare.role() == each.role);
    CHECK(bare.term() == 2);
  }
}

TEST_CASE("5.2 a follower votes once a term, first come first served (hazard 3)") {
  struct Case {
    std::uint64_t vote;
    std::uint64_t asks;
    bool granted;
  };
  for (const Case& each : std::vector<Case>{
           {0, 2, true}, {0, 3, true}, {2, 2, true}, {3, 3, true}, {2, 3, false}, {3, 2, false}}) {
    Disk disk = disk_with(voters({1, 2, 3}));
    disk.state = {Term{2}, NodeId{each.vote}};
    Bare bare(disk);
    bare.receive(each.asks, 2, VoteRequest{id(1, 1), false});
    const auto replies = bare.take<VoteReply>();
    REQUIRE(replies.size() == 1);
    CHECK(replies[0].first.to == NodeId{each.asks});
    CHECK(replies[0].first.term == Term{2});
    CHECK(replies[0].second.granted == each.granted);
    CHECK(bare.host.disk().state.vote == NodeId{each.granted ? each.asks : each.vote});
  }
}

TEST_CASE("5.2 a candidate falls back when it hears from a leader of its term or later") {
  for (const std::uint64_t term : {2u, 3u}) {
    Bare bare = three();
    bare.stand();
    REQUIRE(bare.role() == Role::candidate);
    bare.receive(2, term, AppendRequest{id(1, 1), {}, {}});
    CHECK(bare.role() == Role::follower);
    CHECK(bare.term() == term);
    CHECK(bare.core().leader() == NodeId{2});
    // Its vote of term 2, for itself, stays (hazard 3).
    CHECK(bare.host.disk().state.vote == NodeId{term == 2 ? 1u : 0u});
  }
}

// Number of ticks until the next campaign begins.
std::uint32_t ticks_to_campaign(Bare& bare) {
  bare.left.clear();
  for (std::uint32_t ticks = 1; ticks < 100; ++ticks) {
    bare.tick();
    if (!bare.take<PreVoteRequest>().empty()) return ticks;
  }
  return 100;
}

void check_randomized(bool as_candidate) {
  std::set<std::uint32_t> seen;
  for (std::uint64_t seed = 0; seed < 500; ++seed) {
    Options options = quick();
    options.seed = seed;
    Bare bare = three({}, options);
    if (as_candidate) bare.stand();
    seen.insert(ticks_to_campaign(bare));
  }
  // All values of [10, 20) and no others.
  CHECK(seen.size() == 10);
  CHECK(*seen.begin() == 10);
  CHECK(*seen.rbegin() == 19);
}

TEST_CASE("5.2 a follower's election timeout is randomized") { check_randomized(false); }
TEST_CASE("5.2 a candidate's election timeout is randomized") { check_randomized(true); }

void check_rarely_together(bool as_candidates) {
  std::size_t conflicts = 0;
  constexpr std::size_t rounds = 500;
  for (std::uint64_t seed = 0; seed < rounds; ++seed) {
    std::vector<std::uint32_t> timeouts;
    for (std::uint64_t node = 1; node <= 5; ++node) {
      Options options;      // 50 to 100 ticks
      options.seed = seed;  // the same for all: the node's id keeps them apart
      Bare bare(disk_with(voters({1, 2, 3, 4, 5})), options, node);
      if (as_candidates) bare.stand();
      timeouts.push_back(ticks_to_campaign(bare));
    }
    std::sort(timeouts.begin(), timeouts.end());
    if (timeouts[0] == timeouts[1]) ++conflicts;
  }
  // Of five timeouts drawn evenly from 50 values, the two earliest are equal in about 9 of 100
  // rounds.
  CHECK(conflicts < rounds * 3 / 20);
}

TEST_CASE("5.2 followers' election timeouts rarely conflict") { check_rarely_together(false); }
TEST_CASE("5.2 candidates' election timeouts rarely conflict") { check_rarely_together(true); }

}  // namespace
}  // namespace iris::raft::test
