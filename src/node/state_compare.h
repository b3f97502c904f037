// State compare: which members of a configuration have other data than a majority of it.
// Pure; any thread.
#pragma once

#include <map>
#include <optional>
#include <set>

#include "raft/types.h"
#include "src/machine/state_hash.h"

namespace iris {

struct StateComparison {
  enum class Result {
    too_few,      // nobody differs, and no majority has answered
    majority,     // a majority of the voters has the same data; `odd` has others
    no_majority,  // voters differ, and no hash is that of a majority
  };
  Result result = Result::too_few;
  // --- With `majority`.
  Hash128 data;
  std::optional<Hash128> history;  // where a majority has that in common
  std::set<raft::NodeId> odd;
};

// `hashes`: of members, all of them of the same index and `history_after`. A majority is one of all
// voters, those without a hash included; a learner can be odd, but it does not count. REQUIRES:
// `members` is not joint.
[[nodiscard]] StateComparison compare_states(const raft::Members& members,
                                             const std::map<raft::NodeId, StateHash>& hashes);

}  // namespace iris
