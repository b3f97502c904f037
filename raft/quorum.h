// Quorums of a configuration, as pure functions: the greatest value that a quorum has reached, and
// the tally of a vote. In a joint configuration a quorum is a majority of the voters and, by
// itself, a majority of the outgoing voters (thesis 4.3). Learners never count.
// Any thread. A list without voters never forms a majority.
#pragma once

#include <algorithm>
#include <optional>
#include <vector>

#include "raft/types.h"

namespace iris::raft {

enum class Tally { pending, won, lost };

// The greatest value that a majority of `voters` has reached; `of(id)` is the value of one voter.
// Value{} where there are no voters.
template <class Value, class Of>
[[nodiscard]] Value majority_value(const std::vector<Member>& voters, const Of& of) {
  if (voters.empty()) return Value{};
  std::vector<Value> values;
  values.reserve(voters.size());
  for (const Member& voter : voters) values.push_back(of(voter.id));
  // Of n values in ascending order, the one at (n - 1) / 2 is reached by n / 2 + 1 of them.
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>((values.size() - 1) / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

template <class Value, class Of>
[[nodiscard]] Value quorum_value(const Members& members, const Of& of) {
  const Value value = majority_value<Value>(members.voters, of);
  if (members.outgoing.empty()) return value;
  return std::min(value, majority_value<Value>(members.outgoing, of));
}

// `vote(id)` is the answer of one voter, or nothing so far.
template <class Vote>
[[nodiscard]] Tally majority_tally(const std::vector<Member>& voters, const Vote& vote) {
  std::size_t granted = 0;
  std::size_t refused = 0;
  for (const Member& voter : voters) {
    const std::optional<bool> answer = vote(voter.id);
    if (answer) ++(*answer ? granted : refused);
  }
  const std::size_t majority = voters.size() / 2 + 1;
  if (granted >= majority) return Tally::won;
  return refused + majority > voters.size() ? Tally::lost : Tally::pending;
}

template <class Vote>
[[nodiscard]] Tally quorum_tally(const Members& members, const Vote& vote) {
  const Tally voters = majority_tally(members.voters, vote);
  if (members.outgoing.empty()) return voters;
  const Tally outgoing = majority_tally(members.outgoing, vote);
  if (voters == Tally::lost || outgoing == Tally::lost) return Tally::lost;
  return voters == Tally::won && outgoing == Tally::won ? Tally::won : Tally::pending;
}

}  // namespace iris::raft
