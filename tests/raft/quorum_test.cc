// Quorums and membership rules against naive models that enumerate everything, for every
// configuration of up to seven nodes (hazard 28).
#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "raft/members.h"
#include "raft/quorum.h"
#include "tests/raft/cluster.h"

#include "tests/catch.h"  // last: its CHECK must not stand in for raft/check.h's

namespace iris::raft::test {
namespace {

constexpr std::uint32_t nodes = 7;
constexpr std::uint32_t sets = 1u << nodes;
using NodeSet = std::uint32_t;  // bit n: node n + 1

bool is_majority(NodeSet part, NodeSet whole) {
  return 2 * std::popcount(part & whole) > std::popcount(whole);
}

std::vector<Member> list(NodeSet set) {
  std::vector<Member> members;
  for (std::uint32_t node = 0; node < nodes; ++node) {
    if ((set >> node & 1) != 0) members.push_back(member(node + 1));
  }
  return members;
}

NodeSet set_of(const std::vector<Member>& members) {
  NodeSet set = 0;
  for (const Member& each : members) set |= 1u << (each.id.value - 1);
  return set;
}

void expect(bool holds, const char* what) {
  if (!holds) FAIL(what);
}

bool is_quorum(const Members& members, NodeSet part) {
  return is_majority(part, set_of(members.voters)) &&
         (members.outgoing.empty() || is_majority(part, set_of(members.outgoing)));
}

// The greatest value such that some quorum has reached it, by trying every set of nodes.
std::uint64_t naive_value(const Members& members, const std::array<std::uint64_t, nodes>& values) {
  std::uint64_t best = 0;
  for (NodeSet part = 0; part < sets; ++part) {
    if (!is_quorum(members, part)) continue;
    std::uint64_t least = ~std::uint64_t{0};
    for (std::uint32_t node = 0; node < nodes; ++node) {
      const bool counts = is_voter(members, NodeId{node + 1});
      if ((part >> node & 1) != 0 && counts) least = std::min(least, values[node]);
    }
    best = std::max(best, least);
  }
  return best;
}

// Won: the granting voters are a quorum. Lost: they are none even if all others grant.
Tally naive_tally(const Members& members, NodeSet granted, NodeSet refused) {
  if (is_quorum(members, granted)) return Tally::won;
  return is_quorum(members, (sets - 1) & ~refused) ? Tally::pending : Tally::lost;
}

TEST_CASE("quorum values equal enumeration for all configurations (hazard 28)") {
  std::mt19937_64 chance(28);
  for (NodeSet voters_set = 1; voters_set < sets; ++voters_set) {
    for (NodeSet outgoing = 0; outgoing < sets; ++outgoing) {
      const Members members{list(voters_set), list(outgoing), {}};
      std::array<std::uint64_t, nodes> values{};
      for (std::uint64_t& value : values) value = chance() % 6;  // few, so that some are equal
      const auto value =
          quorum_value<Index>(members, [&](NodeId id) { return Index{values[id.value - 1]}; });
      expect(value.value == naive_value(members, values), "a quorum value differs");
    }
  }
}

TEST_CASE("vote tallies equal enumeration for all configurations and many votes (hazard 28)") {
  std::mt19937_64 chance(28);
  for (NodeSet voters_set = 1; voters_set < sets; ++voters_set) {
    for (NodeSet outgoing = 0; outgoing < sets; ++outgoing) {
      const Members members{list(voters_set), list(outgoing), {}};
      for (int round = 0; round < 8; ++round) {
        const NodeSet granted = chance() % sets;
        const NodeSet refused = chance() % sets & ~granted;
        const Tally tally = quorum_tally(members, [&](NodeId id) -> std::optional<bool> {
          const NodeSet bit = 1u << (id.value - 1);
          if ((granted & bit) != 0) return true;
          if ((refused & bit) != 0) return false;
          return std::nullopt;
        });
        expect(tally == naive_tally(members, granted, refused), "a tally differs");
      }
    }
  }
}

TEST_CASE("no voters are no quorum") {
  CHECK(quorum_value<Index>(Members{}, [](NodeId) { return Index{9}; }) == Index{});
  CHECK(quorum_tally(Members{}, [](NodeId) { return std::optional<bool>(true); }) != Tally::won);
}

// --- Changes of membership.

struct Model {
  NodeSet voters;
  NodeSet learners;
};

// The configuration after a change; nullopt where the change must be refused.
std::optional<Model> naive_change(Model now, const MemberChange& change) {
  const auto bit = [](NodeId id) { return NodeSet{1} << (id.value - 1); };
  if (const auto* add = std::get_if<AddLearner>(&change)) {
    if (((now.voters | now.learners) & bit(add->member.id)) != 0) return std::nullopt;
    return Model{now.voters, now.learners | bit(add->member.id)};
  }
  if (const auto* promote = std::get_if<Promote>(&change)) {
    if ((now.learners & bit(promote->id)) == 0) return std::nullopt;
    Model next{now.voters | bit(promote->id), now.learners & ~bit(promote->id)};
    if (promote->replaces) {
      if ((now.voters & bit(*promote->replaces)) == 0) return std::nullopt;
      next.voters &= ~bit(*promote->replaces);
    }
    return next;
  }
  const NodeSet gone = bit(std::get<Remove>(change).id);
  if (((now.voters | now.learners) & gone) == 0 || now.voters == gone) return std::nullopt;
  return Model{now.voters & ~gone, now.learners & ~gone};
}

// Two configurations cannot decide independently: each quorum of one intersects every quorum of the
// other, so its complement contains no quorum of the other.
bool quorums_meet(const Members& left, const Members& right) {
  for (NodeSet part = 0; part < sets; ++part) {
    if (is_quorum(left, part) && is_quorum(right, (sets - 1) & ~part)) return false;
  }
  return true;
}

void check_change(Model now, const MemberChange& change) {
  const Members before{list(now.voters), {}, list(now.learners)};
  const Result<Members> after = changed(before, change);
  const std::optional<Model> expected = naive_change(now, change);
  expect(after.has_value() == expected.has_value(), "legality differs");
  if (!expected) return;
  expect(well_formed(*after), "malformed");
  expect(set_of(after->voters) == expected->voters, "voters differ");
  expect(set_of(after->learners) == expected->learners, "learners differ");
  // Joint if and only if the voters change; the quorums of successive configurations intersect
  // (thesis 4.3).
  expect(is_joint(*after) == (expected->voters != now.voters), "joint or not");
  expect(!is_joint(*after) || after->outgoing == before.voters, "the outgoing are not the former");
  expect(quorums_meet(before, *after), "quorums of a change do not meet");
  expect(quorums_meet(*after, without_outgoing(*after)), "quorums of leaving it do not meet");
}

TEST_CASE(
    "every change of every configuration equals its model, and its quorums meet "
    "(hazards 43, 44)") {
  for (NodeSet voters_set = 1; voters_set < sets; ++voters_set) {
    for (NodeSet learners = 0; learners < sets; ++learners) {
      if ((voters_set & learners) != 0) continue;
      const Model now{voters_set, learners};
      for (std::uint64_t id = 1; id <= nodes; ++id) {
        check_change(now, AddLearner{member(id)});
        check_change(now, Remove{NodeId{id}});
        check_change(now, Promote{NodeId{id}, {}});
        for (std::uint64_t other = 1; other <= nodes; ++other) {
          check_change(now, Promote{NodeId{id}, NodeId{other}});
        }
      }
    }
  }
}

TEST_CASE("an address changes where its member is listed, and only there (hazard 58)") {
  const Members before = voters({1, 2, 3}, {4});
  for (const std::uint64_t id : {2u, 4u}) {
    const auto after = changed(before, SetAddress{NodeId{id}, "elsewhere:9"});
    REQUIRE(after.has_value());
    CHECK_FALSE(is_joint(*after));
    for (const Member& each : all_members(*after)) {
      CHECK(each.address ==
            (each.id == NodeId{id} ? "elsewhere:9" : member(each.id.value).address));
    }
  }
  CHECK(changed(before, SetAddress{NodeId{5}, "elsewhere:9"}).error().code == Errc::not_found);
  CHECK(changed(before, SetAddress{NodeId{2}, ""}).error().code == Errc::invalid_argument);
  CHECK(changed(before, SetAddress{NodeId{2}, "node2:1"}).error().code == Errc::refused);
}

TEST_CASE("a level rises, never falls, and every other change keeps it (hazard 118)") {
  Members before = voters({1, 2, 3}, {4});
  before.level = Level{2};
  const auto after = changed(before, RaiseLevel{Level{5}});
  REQUIRE(after.has_value());
  CHECK(after->level == Level{5});
  CHECK_FALSE(is_joint(*after));
  CHECK(all_members(*after) == all_members(before));
  for (const std::uint64_t level : {0u, 1u, 2u}) {
    CHECK(changed(before, RaiseLevel{Level{level}}).error().code == Errc::refused);
  }
  for (const MemberChange& change : std::vector<MemberChange>{
           AddLearner{member(5)}, Promote{NodeId{4}, {}}, Promote{NodeId{4}, NodeId{1}},
           Remove{NodeId{1}}, Remove{NodeId{4}}, SetAddress{NodeId{2}, "elsewhere:9"}}) {
    const auto other = changed(before, change);
    REQUIRE(other.has_value());
    CHECK(other->level == Level{2});
    CHECK(without_outgoing(*other).level == Level{2});
  }
}

// A longer list would fit no message: neither its entry nor any later one could leave the leader.
TEST_CASE("a list of members_per_list_max members takes no other (hazards 40, 57)") {
  Members full;
  for (std::uint64_t id = 1; id <= members_per_list_max; ++id) full.voters.push_back(member(id));
  for (std::uint64_t id = 1; id < members_per_list_max; ++id) {
    full.learners.push_back(member(1000 + id));
  }
  const auto added = changed(full, AddLearner{member(2000)});
  REQUIRE(added.has_value());
  const auto over = changed(*added, AddLearner{member(2001)});
  REQUIRE_FALSE(over.has_value());
  CHECK(over.error().code == Errc::limit);
  CHECK(over.error().text.find("127") != std::string::npos);

  const auto promoted = changed(*added, Promote{NodeId{2000}, {}});
  REQUIRE_FALSE(promoted.has_value());
  CHECK(promoted.error().code == Errc::limit);
  CHECK(changed(*added, Promote{NodeId{2000}, NodeId{1}}).has_value());
  full.voters.pop_back();
  CHECK(changed(full, Promote{NodeId{1001}, {}}).has_value());
}

TEST_CASE("configurations roll back with the log, and the one at the floor stays (hazard 46)") {
  MembersHistory history(voters({1}), Index{3});
  history.append(Index{5}, voters({1, 2}));
  history.append(Index{9}, voters({1, 2, 3}));
  CHECK(history.at(Index{4}).members == voters({1}));
  CHECK(history.at(Index{5}).members == voters({1, 2}));
  CHECK(history.at(Index{8}).index == Index{5});
  CHECK(history.truncate_from(Index{9}));
  CHECK_FALSE(history.truncate_from(Index{6}));
  CHECK(history.latest().members == voters({1, 2}));
  history.append(Index{7}, voters({1, 4}));
  history.trim(Index{6});
  CHECK(history.versions().size() == 2);
  CHECK(history.at(Index{6}).members == voters({1, 2}));
  CHECK(history.truncate_from(Index{7}));
  CHECK(history.latest().members == voters({1, 2}));
  history.restart(voters({7}), Index{20});
  CHECK(history.latest().index == Index{20});
  CHECK(history.versions().size() == 1);
}

}  // namespace
}  // namespace iris::raft::test
