// Original: a node of an old cluster and its backup, for the tests of restored and recovered
// nodes.
// Test thread only.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "store/new_cluster.h"
#include "tests/store/fixture.h"

namespace iris::store::test {

inline constexpr const char* new_address = "new-host:32001";
inline constexpr std::uint64_t now_us = clock_from_us + 1'000'000;

// Writes a backup of `node` to `file` and returns its mark.
raft::SnapshotMetadata back_up(Opened& node, const std::string& file);

// A member of three at (term 4, index 60), with 60 values and a log of 70 entries.
struct Original {
  explicit Original(raft::Level level = {});  // of its cluster
  [[nodiscard]] std::string file() const { return folder.path() + "/backup"; }
  TempFolder folder;
  raft::NodeId self;
  raft::SnapshotMetadata of;  // of the backup
  std::vector<std::pair<std::string, std::string>> rows;
};

// Starts a core from what was recovered and lets it lead by itself, as the only voter.
void require_leads_alone(Opened& node);

}  // namespace iris::store::test
