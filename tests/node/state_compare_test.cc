// Who is the odd one out: every case of few members, against a second count.
#include "src/node/state_compare.h"

#include <algorithm>
#include <cstdint>
#include <vector>

#include "tests/catch.h"

namespace iris {
namespace {

using Result = StateComparison::Result;

raft::Members members_of(std::uint64_t voters, std::uint64_t learners) {
  raft::Members members;
  for (std::uint64_t id = 1; id <= voters + learners; ++id) {
    (id <= voters ? members.voters : members.learners).push_back({{id}, "h:1"});
  }
  return members;
}

StateHash hash_of(std::uint64_t data, std::optional<std::uint64_t> history = std::nullopt) {
  StateHash hash{{90}, 0, {data, 0}, std::nullopt};
  if (history) hash.history = Hash128{0, *history};
  return hash;
}

// Each member answers nothing (0), or one of three hashes.
constexpr std::uint64_t answers = 4;

std::vector<std::vector<std::uint64_t>> all_cases(std::uint64_t count) {
  std::vector<std::vector<std::uint64_t>> cases = {{}};
  for (std::uint64_t member = 0; member < count; ++member) {
    std::vector<std::vector<std::uint64_t>> longer;
    for (const auto& begun : cases) {
      for (std::uint64_t answer = 0; answer < answers; ++answer) {
        longer.push_back(begun);
        longer.back().push_back(answer);
      }
    }
    cases = std::move(longer);
  }
  return cases;
}

TEST_CASE("every case of up to five voters and a learner: a majority of all voters decides") {
  for (std::uint64_t voters = 1; voters <= 5; ++voters) {
    for (std::uint64_t learners = 0; learners <= 1; ++learners) {
      const raft::Members members = members_of(voters, learners);
      for (const auto& told : all_cases(voters + learners)) {
        std::map<raft::NodeId, StateHash> hashes;
        for (std::uint64_t i = 0; i < told.size(); ++i) {
          if (told[i] != 0) hashes.emplace(raft::NodeId{i + 1}, hash_of(told[i]));
        }
        const StateComparison comparison = compare_states(members, hashes);
        CAPTURE(voters, learners, told);
        std::uint64_t right = 0;
        std::uint64_t kinds = 0;
        for (std::uint64_t hash = 1; hash < answers; ++hash) {
          const auto end = told.begin() + static_cast<std::ptrdiff_t>(voters);
          const auto number = static_cast<std::uint64_t>(std::count(told.begin(), end, hash));
          if (2 * number > voters) right = hash;
          kinds += number > 0 ? 1 : 0;
        }
        if (right == 0) {
          REQUIRE(comparison.result == (kinds > 1 ? Result::no_majority : Result::too_few));
          REQUIRE(comparison.odd.empty());
          continue;
        }
        REQUIRE(comparison.result == Result::majority);
        REQUIRE(comparison.data == Hash128{right, 0});
        for (std::uint64_t i = 0; i < told.size(); ++i) {
          REQUIRE(comparison.odd.contains({i + 1}) == (told[i] != 0 && told[i] != right));
        }
      }
    }
  }
}

TEST_CASE("of two members that differ neither is the odd one") {
  const StateComparison comparison =
      compare_states(members_of(2, 0), {{{1}, hash_of(7)}, {{2}, hash_of(8)}});
  CHECK(comparison.result == Result::no_majority);
  CHECK(comparison.odd.empty());
}

TEST_CASE("the history of those that have the same data is compared as well") {
  const raft::Members members = members_of(3, 1);
  const auto compare = [&](std::optional<std::uint64_t> one, std::optional<std::uint64_t> two,
                           std::optional<std::uint64_t> three,
                           std::optional<std::uint64_t> learner) {
    return compare_states(members, {{{1}, hash_of(7, one)},
                                    {{2}, hash_of(7, two)},
                                    {{3}, hash_of(7, three)},
                                    {{4}, hash_of(7, learner)}});
  };
  using Odd = std::set<raft::NodeId>;
  CHECK(compare(1, 1, 1, 1).odd == Odd{});
  CHECK(compare(1, 1, 1, 1).history == Hash128{0, 1});
  CHECK(compare(1, 2, 1, 1).odd == Odd{{2}});
  CHECK(compare(1, 1, 1, 2).odd == Odd{{4}});
  // One that has purged further says nothing of its history, and is not odd.
  CHECK(compare(1, {}, 1, 2).odd == Odd{{4}});
  // Without a majority of all voters nobody is odd.
  CHECK(compare(1, {}, {}, 2).odd == Odd{});
  CHECK(compare(1, {}, {}, 2).result == Result::majority);
  CHECK_FALSE(compare(1, {}, {}, 2).history.has_value());
  CHECK(compare(1, 2, {}, {}).odd == Odd{});
  CHECK(compare(1, 2, {}, {}).result == Result::no_majority);
  // A node whose data is odd has no say about the history.
  const StateComparison mixed =
      compare_states(members, {{{1}, hash_of(7, 1)}, {{2}, hash_of(7, 1)}, {{3}, hash_of(8, 2)}});
  CHECK(mixed.odd == Odd{{3}});
  CHECK(mixed.history == Hash128{0, 1});
}

}  // namespace
}  // namespace iris
