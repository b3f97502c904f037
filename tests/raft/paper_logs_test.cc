// The tests named after sections 5.3 and 5.4 of the paper (Ongaro & Ousterhout 2014): logs,
// commitment and safety. Sections 5.1 and 5.2 are in paper_elections_test.cc.
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "tests/raft/bare.h"

#include "tests/catch.h"  // last: its CHECK must not stand in for raft/check.h's

namespace iris::raft::test {
namespace {

// --- 5.3

TEST_CASE("5.3 a leader appends a proposal and sends it to everybody in parallel") {
  Bare bare = three();
  bare.lead();
  bare.acknowledge(2, 2);
  bare.acknowledge(3, 2);
  bare.left.clear();
  bare.disk_waits = true;  // its own disk is one among the others
  const auto proposed = bare.core().propose("a");
  REQUIRE(proposed.has_value());
  CHECK(*proposed == id(2, 3));
  bare.settle();
  CHECK(bare.last() == 3);
  CHECK(bare.commit() == 2);
  const auto requests = bare.take<AppendRequest>();
  REQUIRE(requests.size() == 2);
  for (std::size_t follower = 0; follower < 2; ++follower) {
    CHECK(requests[follower].first.to == NodeId{follower + 2});
    CHECK(requests[follower].second.prev == id(2, 2));
    CHECK(requests[follower].second.commit == Index{2});
    REQUIRE(requests[follower].second.entries.size() == 1);
    CHECK(requests[follower].second.entries[0]->payload == Payload{Command{"a"}});
  }
}

TEST_CASE("5.3 a leader commits an entry that a majority has, applies it and tells the others") {
  Bare bare = three();
  bare.lead();
  bare.acknowledge(2, 2);
  bare.acknowledge(3, 2);
  REQUIRE(bare.core().propose("a").has_value());
  bare.settle();
  bare.left.clear();
  bare.acknowledge(2, 3);
  CHECK(bare.commit() == 3);
  CHECK(bare.host.applied().back()->payload == Payload{Command{"a"}});
  const auto requests = bare.take<AppendRequest>();
  REQUIRE(requests.size() == 2);
  CHECK(requests[0].second.commit == Index{3});
  CHECK(requests[0].second.entries.empty());
  // Sent once: further answers bring nothing new (hazard 37).
  bare.acknowledge(3, 3);
  bare.acknowledge(2, 3);
  CHECK(bare.left.empty());
}

TEST_CASE("5.3 a majority of acknowledgements commits, its own disk included (hazard 28)") {
  struct Case {
    std::uint64_t size;
    std::vector<std::uint64_t> acknowledge;
    bool committed;
  };
  for (const Case& each : std::vector<Case>{{1, {}, true},
                                            {3, {}, false},
                                            {3, {2}, true},
                                            {3, {2, 3}, true},
                                            {5, {}, false},
                                            {5, {2}, false},
                                            {5, {2, 3}, true},
                                            {5, {2, 3, 4, 5}, true}}) {
    const std::vector<std::uint64_t> ids = ids_up_to(each.size);
    Bare bare(disk_with(voters(ids)));
    bare.lead();
    for (const std::uint64_t node : ids) {
      if (node != 1) bare.acknowledge(node, 2);
    }
    REQUIRE(bare.commit() == 2);
    REQUIRE(bare.core().propose("a").has_value());
    bare.settle();
    for (const std::uint64_t from : each.acknowledge) bare.acknowledge(from, 3);
    CHECK(bare.commit() == (each.committed ? 3 : 2));
  }
}

TEST_CASE("5.3 committing an entry commits all before it, of other leaders too (hazard 21)") {
  for (const Terms& before : std::vector<Terms>{{}, {2}, {1, 2}, {1}}) {
    Bare bare = three(before);
    bare.lead();
    CHECK(bare.commit() == 1);
    bare.acknowledge(2, bare.last());  // of the no-op of its term
    CHECK(bare.commit() == before.size() + 2);
    CHECK(bare.host.applied().size() == before.size() + 1);
  }
}

TEST_CASE("5.3 a follower applies what it learns to be committed, in order") {
  const std::vector<std::pair<Terms, std::uint64_t>> cases{
      {{2}, 2}, {{2, 2}, 3}, {{2, 2}, 2}, {{2, 2, 2}, 3}};
  for (const auto& [terms, commit] : cases) {
    Bare bare = three();
    AppendRequest request{id(1, 1), Index{commit}, {}};
    for (const std::uint64_t term : terms) {
      request.entries.push_back(
          entry(term, 2 + request.entries.size(), Command{std::to_string(term)}));
    }
    bare.receive(2, 2, request);
    CHECK(bare.commit() == commit);
    REQUIRE(bare.host.applied().size() == commit - 1);
    for (std::uint64_t at = 0; at + 1 < commit; ++at) {
      CHECK(bare.host.applied()[at] == request.entries[at]);
    }
  }
}

TEST_CASE("5.3 a follower refuses what does not follow its log, and says where it may") {
  struct Case {
    EntryId prev;
    bool matched;
    EntryId hint;
  };
  // Its log: (1,1) (1,2) (2,3).
  for (const Case& each : std::vector<Case>{{id(0, 0), true, {}},
                                            {id(1, 1), true, {}},
                                            {id(1, 2), true, {}},
                                            {id(2, 3), true, {}},
                                            {id(2, 4), false, id(2, 3)},  // beyond its end
                                            {id(1, 3), false, id(1, 2)},  // another term there
                                            {id(2, 2), false, id(1, 2)},
                                            {id(3, 9), false, id(2, 3)}}) {
    Bare bare = three({1, 2});
    bare.receive(2, 3, AppendRequest{each.prev, {}, {}});
    const auto replies = bare.take<AppendReply>();
    REQUIRE(replies.size() == 1);
    CHECK(replies[0].first.term == Term{3});
    CHECK(replies[0].second.matched == each.matched);
    CHECK(replies[0].second.index == each.prev.index);
    CHECK(replies[0].second.hint == each.hint);
  }
}

TEST_CASE("5.3 a follower cuts only what conflicts and appends only what is new (hazard 22)") {
  struct Case {
    EntryId prev;
    std::vector<std::pair<std::uint64_t, std::uint64_t>> entries;  // term, index
    Terms terms;                                                   // its log afterwards
    std::vector<std::uint64_t> unsynced;                           // indexes that go to its disk
  };
  // Its log: (1,1) (1,2) (2,3).
  for (const Case& each :
       std::vector<Case>{{id(2, 3), {{3, 4}}, {1, 1, 2, 3}, {4}},
                         {id(1, 2), {{3, 3}, {4, 4}}, {1, 1, 3, 4}, {3, 4}},
                         {id(0, 0), {{1, 1}}, {1, 1, 2}, {}},
                         {id(1, 1), {{1, 2}}, {1, 1, 2}, {}},
                         {id(1, 1), {{3, 2}}, {1, 3}, {2}},
                         {id(1, 1), {{1, 2}, {2, 3}, {2, 4}}, {1, 1, 2, 2}, {4}}}) {
    Bare bare = three({1, 2});
    bare.disk_waits = true;
    AppendRequest request{each.prev, {}, {}};
    for (const auto& [term, index] : each.entries) {
      const Payload payload = index == 1 ? Payload{voters({1, 2, 3})} : Payload{NoOp{}};
      request.entries.push_back(entry(term, index, payload));
    }
    bare.receive(2, 5, request);
    CHECK(bare.terms() == each.terms);
    std::vector<std::uint64_t> unsynced;
    for (const EntryPtr& written : bare.host.queued_entries()) {
      unsynced.push_back(written->id.index.value);
    }
    CHECK(unsynced == each.unsynced);
  }
}

TEST_CASE("5.3 figure 7: a leader brings every follower's log to its own (hazard 39)") {
  const Terms leader_terms{1, 1, 4, 4, 5, 5, 6, 6, 6};
  const std::vector<Terms> followers{
      {1, 1, 4, 4, 5, 5, 6, 6},          {1, 1, 4},          {1, 1, 4, 4, 5, 5, 6, 6, 6, 6},
      {1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7}, {1, 1, 4, 4, 4, 4}, {1, 1, 2, 2, 2, 3, 3, 3, 3, 3},
  };
  for (const Terms& follower_terms : followers) {
    Cluster cluster;
    const Members members = voters({1, 2, 3});
    cluster.add(1, disk_with(members, leader_terms));
    cluster.add(2, disk_with(members, follower_terms));
    cluster.add(3, disk_with(members));
    // Node 2 may be ahead, so it is node 3 that elects node 1, in a term after all of these.
    for (std::uint64_t node : {1u, 3u}) {
      cluster[node].crash();
      Disk disk = cluster[node].disk();
      disk.state = {Term{8}, {}};
      cluster.add(node, disk);
    }
    std::size_t rounds = 0;
    cluster.core(1).campaign();
    cluster.settle([&rounds](const Message& message) {
      const auto* reply = std::get_if<AppendReply>(&message.body);
      if (reply != nullptr && message.from == NodeId{2} && !reply->matched) ++rounds;
      return false;
    });
    REQUIRE(cluster.core(1).role() == Role::leader);
    for (Index index{1}; index <= cluster[1].status().last; index = index.next()) {
      REQUIRE(cluster.core(2).entry(index) != nullptr);
      CHECK(cluster.core(2).entry(index)->id == cluster.core(1).entry(index)->id);
    }
    CHECK(cluster[2].status().last == cluster[1].status().last);
    CHECK(rounds <= 3);  // a whole term at a time
  }
}

// --- 5.4

TEST_CASE("5.4.1 a vote request tells the end of the candidate's log") {
  for (const Terms& terms : std::vector<Terms>{{}, {2}, {2, 3}}) {
    Bare bare = three(terms);
    bare.stand();
    const auto requests = bare.take<VoteRequest>();
    REQUIRE(requests.size() == 2);
    for (const auto& [message, request] : requests) {
      CHECK(request.last == bare.core().entry(Index{bare.last()})->id);
      CHECK(message.term == Term{bare.term()});
    }
  }
}

TEST_CASE("5.4.1 a voter refuses a candidate whose log is behind (hazard 4)") {
  struct Case {
    Terms own;
    EntryId last;
    bool granted;
  };
  for (const Case& each : std::vector<Case>{// The same last term: length decides.
                                            {{}, id(1, 1), true},
                                            {{}, id(1, 2), true},
                                            {{1}, id(1, 1), false},
                                            // A later term wins, whatever the length.
                                            {{}, id(2, 1), true},
                                            {{}, id(2, 2), true},
                                            {{1, 1, 1}, id(2, 2), true},
                                            {{2}, id(1, 1), false},
                                            {{2}, id(1, 9), false},
                                            {{2, 2}, id(1, 3), false}}) {
    Bare bare = three(each.own);
    bare.receive(2, 5, PreVoteRequest{each.last});
    CHECK(bare.take<PreVoteReply>().at(0).second.granted == each.granted);
    bare.receive(2, 5, VoteRequest{each.last, false});
    CHECK(bare.take<VoteReply>().at(0).second.granted == each.granted);
  }
}

TEST_CASE("5.4.2 a leader commits by counting only entries of its own term (hazard 20)") {
  for (const auto& [acknowledged, commit] :
       std::vector<std::pair<std::uint64_t, std::uint64_t>>{{2, 1}, {3, 1}, {4, 4}}) {
    Bare bare = three({1, 2});  // then its own no-op, (3, 4)
    bare.lead();
    REQUIRE(bare.terms() == Terms{1, 1, 2, 3});
    bare.acknowledge(2, acknowledged);
    CHECK(bare.commit() == commit);
  }
}

}  // namespace
}  // namespace iris::raft::test
