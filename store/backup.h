// Backup: what is done with a snapshot stream in a file (see snapshot.h), and with the folder of a
// node whose cluster is gone. For programs that are not serving: blocking, no loop, no lanes.
// Any thread. Owns nothing between the calls. Every error is one sentence that names the path.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "raft/result.h"
#include "raft/types.h"

namespace iris::store {

struct BackupInfo {
  raft::SnapshotMark mark;  // of the cluster it was taken from, at that moment
  std::uint64_t rows = 0;
  std::uint64_t bytes = 0;
  std::string sha256;  // of the stream without its last 32 bytes, which are this; hex
};

// Reads the whole file. Errc::io, Errc::corrupt (says at which byte), Errc::refused (newer format).
Result<BackupInfo> verify_backup(const std::string& file);

// What a folder has become.
struct NewCluster {
  raft::NodeId node;
  raft::ClusterId cluster;  // random: no node of the old cluster talks to it
  raft::EntryId last;       // the log goes on behind this
};

// Makes `folder` the one node of a new cluster that holds what the backup holds: a new node id, a
// new cluster id, and as configuration this node alone, at `address` (host:port of its raft port).
// Revisions go on from the backup's; sessions and subscriptions are part of it. Others join it as
// they would any cluster.
// All or nothing: it is built beside `folder` and renamed at the end, so a crash leaves no folder
// that would start as something else. Errc::refused where `folder` is there and not empty, or
// cannot be replaced (a mount point, a symbolic link); Errc::busy where another restore builds
// there.
Result<NewCluster> restore_backup(const std::string& file, const std::string& folder,
                                  const std::string& address);

using AddressOf = std::function<std::string(const std::string& recorded)>;

// For lost quorum: `folder`'s node forgets the other members and is a cluster of its own, with a
// new cluster id. Everything in its log counts as committed from then on; what only the lost
// members had is lost. One synced write: it happens or it does not.
// It is a member under what `address_of` makes of the address it is recorded under (empty: none).
// REQUIRES (not checked here): the old members never run again, or two clusters go on apart.
// Errc::refused where the node was never a member of anything; Errc::not_found where nothing is.
Result<NewCluster> force_new_cluster(const std::string& folder, const AddressOf& address_of);

}  // namespace iris::store
