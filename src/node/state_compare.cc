#include "src/node/state_compare.h"

#include <cstddef>

#include "raft/check.h"
#include "raft/members.h"

namespace iris {
namespace {

struct Vote {
  std::optional<Hash128> majority;
  bool differs = false;  // voters have more than one hash
};

Vote count(const raft::Members& members, const std::map<raft::NodeId, Hash128>& hashes) {
  std::map<Hash128, std::size_t> voters;
  for (const auto& [id, hash] : hashes) {
    if (raft::contains(members.voters, id)) ++voters[hash];
  }
  Vote vote;
  vote.differs = voters.size() > 1;
  for (const auto& [hash, number] : voters) {
    if (number > members.voters.size() / 2) vote.majority = hash;
  }
  return vote;
}

}  // namespace

StateComparison compare_states(const raft::Members& members,
                               const std::map<raft::NodeId, StateHash>& hashes) {
  CHECK(!raft::is_joint(members));
  using Result = StateComparison::Result;
  StateComparison comparison;
  std::map<raft::NodeId, Hash128> data;
  for (const auto& [id, hash] : hashes) data.emplace(id, hash.data);
  const Vote on_data = count(members, data);
  if (!on_data.majority) {
    comparison.result = on_data.differs ? Result::no_majority : Result::too_few;
    return comparison;
  }
  comparison.result = Result::majority;
  comparison.data = *on_data.majority;
  // A node that has purged further than others has no history to compare.
  std::map<raft::NodeId, Hash128> histories;
  for (const auto& [id, hash] : hashes) {
    if (hash.data != comparison.data) {
      comparison.odd.insert(id);
    } else if (hash.history) {
      histories.emplace(id, *hash.history);
    }
  }
  const Vote on_history = count(members, histories);
  if (!on_history.majority) {
    if (on_history.differs) comparison.result = Result::no_majority;
    return comparison;
  }
  comparison.history = on_history.majority;
  for (const auto& [id, history] : histories) {
    if (history != *comparison.history) comparison.odd.insert(id);
  }
  return comparison;
}

}  // namespace iris
