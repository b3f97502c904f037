// Backup: what is done with a snapshot stream in a file (see snapshot.h), and with the folder of a
// node whose cluster is gone. For programs that are not serving: blocking, no loop, no lanes.
// Any thread. Owns nothing between the calls. Every error is one sentence that names the path.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "raft/result.h"
#include "raft/types.h"

namespace iris::store {

class Batch;

struct BackupInfo {
  raft::SnapshotMark mark;  // of the cluster it was taken from, at that moment
  std::uint64_t rows = 0;
  std::uint64_t bytes = 0;
  std::string sha256;  // of the stream without its last 32 bytes, which are this; hex
};

// Reads the whole file. Errc::io, Errc::corrupt (says at which byte), Errc::refused (newer format).
Result<BackupInfo> verify_backup(const std::string& file);

// --- A new history. A cluster that is made of a backup or of one node's data lacks what the old
// one did behind it. Were it to number its own changes from there, a listener that comes back with
// an old position would be taken for one that has them. So it begins far ahead, at a revision that
// was never given out: its log does not reach back to any old position, and every listener that has
// one gets RESYNC. Values keep the revisions they have.

// How far ahead, where the clock cannot be believed.
inline constexpr std::uint64_t history_gap = 1'000'000'000;
// In microseconds since 1970: the begin of 2026, when none of this was there yet, and of 2200, so
// that revisions stay below 2^53, exact in a JSON number.
inline constexpr std::uint64_t clock_from_us = 1'767'225'600'000'000;
inline constexpr std::uint64_t clock_until_us = 7'258'118'400'000'000;

// Where the history behind `known` begins: at the present time, as microseconds since 1970, which
// is ahead of all that was ever given out below 1,000,000 changes a second, also by another cluster
// that was made of the same data before. But history_gap behind `known` where the clock is outside
// the years above or not ahead of `known`, which it must be if it never went back.
[[nodiscard]] raft::Index new_history(raft::Index known, std::uint64_t now_us);

// What a folder has become.
struct NewCluster {
  raft::NodeId node;
  raft::ClusterId cluster;  // random: no node of the old cluster talks to it
  raft::EntryId last;       // the log goes on behind this: a new history
};

// Makes `folder` the one node of a new cluster that holds what the backup holds: a new node id, a
// new cluster id, and as configuration this node alone, at `address` (host:port of its raft port).
// Sessions and subscriptions are part of it. Others join it as they would any cluster.
// `now_us`: the time, for new_history().
// All or nothing: it is built beside `folder` and renamed at the end, so a crash leaves no folder
// that would start as something else. Errc::refused where `folder` is there and not empty, or
// cannot be replaced (a mount point, a symbolic link); Errc::busy where another restore builds
// there.
Result<NewCluster> restore_backup(const std::string& file, const std::string& folder,
                                  const std::string& address, std::uint64_t now_us);

struct Recover {
  // The address it is a member under from then on, out of the one it is recorded under (empty:
  // none).
  std::function<std::string(const std::string& recorded)> address_of;
  // What an entry means: Machine::apply.
  std::function<void(const raft::Entry& entry, Batch& batch)> apply;
  std::uint64_t now_us = 0;                                      // for new_history()
  std::function<void(std::string_view step)> on_step = nullptr;  // for tests of crashes
};

// For lost quorum: `folder`'s node forgets the other members and is a cluster of its own, with a
// new cluster id. Everything in its log counts as committed and is applied; what only the lost
// members had is lost. Its log begins anew, empty, with a new history.
// A crash leaves it as it was or as it is to be, as for an installation (recovery.h).
// REQUIRES (not checked here): the old members never run again, or two clusters go on apart.
// Errc::refused where the node was never a member of anything; Errc::not_found where nothing is.
Result<NewCluster> force_new_cluster(const std::string& folder, const Recover& how);

}  // namespace iris::store
