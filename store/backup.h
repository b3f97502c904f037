// Backup: a snapshot stream in a file (snapshot.h): verified, and restored into a new cluster. For
// programs that are not serving: blocking, no loop, no lanes.
// Any thread. Owns nothing between the calls. Each error is one sentence that names the path.
#pragma once

#include <cstdint>
#include <string>

#include "raft/result.h"
#include "raft/types.h"
#include "store/folder.h"
#include "store/new_cluster.h"

namespace iris::store {

struct BackupInfo {
  raft::SnapshotMetadata mark;  // last entry and configuration of the cluster when it was taken
  std::uint64_t rows = 0;
  std::uint64_t bytes = 0;
  std::string sha256;  // in hex, of the stream without its last 32 bytes, which hold it
};

// Reads the whole file. Errc::io; Errc::corrupt, which says at which byte; Errc::refused: written
// in a newer format. Errc::unimplemented: of a cluster above `level_max`, of which a node can only
// be made by a newer version.
Result<BackupInfo> verify_backup(const std::string& file, raft::Level level_max = any_level);

// Makes `folder` the only node of a new cluster that holds the data of the backup, sessions and
// subscriptions included: a new node id, a new cluster id and a configuration of this node alone,
// at `address` (HOST:PORT of its raft port), at the feature level of the old one. Other nodes join
// it as they join any cluster.
// `now_us`: the time, for new_history().
// All or nothing, and durable at return: the folder is built beside its place and renamed at the
// end. Errc::refused: `folder` is there and not empty, or cannot be replaced (a mount point, a
// symbolic link). Errc::busy: another restore builds there.
Result<NewCluster> restore_backup(const std::string& file, const std::string& folder,
                                  const std::string& address, std::uint64_t now_us,
                                  raft::Level level_max = any_level);

}  // namespace iris::store
