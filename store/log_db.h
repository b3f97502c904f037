// LogDb: the database log/, where durability is made. Changes are staged, any number of them, and
// committed as one RocksDB batch with one sync. Each batch has a head record that says where the
// log ends now.
// Log lane; create() and open() run before it. Owns the database, the high-water mark, and in
// memory 4 bytes for each entry of the log (the checksums of its chain).
// Errors: Errc::io or Errc::corrupt, with a text that names the record. Nothing is repaired or
// tried again: after a failed commit() the object may only be destroyed.
#pragma once

#include <cstddef>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "raft/result.h"
#include "raft/types.h"
#include "store/alarm.h"
#include "store/folder.h"
#include "store/high_water_mark.h"
#include "store/log_records.h"
#include "store/rocks.h"

namespace rocksdb {
class DB;
class WriteBatch;
}  // namespace rocksdb

namespace iris::store {

// The log as it is on disk, each record verified.
struct LogFound {
  Identity identity;
  raft::HardState state;
  raft::SnapshotMetadata floor;
  std::vector<raft::EntryPtr> entries;  // contiguous, from the one that follows the floor
  std::optional<Install> install;       // an installation that a crash has cut off
};

class LogDb {
 public:
  // Makes log/ and log.mark of a new folder, durably. REQUIRES: state.term is not below the
  // floor's.
  static Status create(const RocksOptions& options, const Folder& folder, const Identity& identity,
                       const raft::HardState& state, const raft::SnapshotMetadata& floor);
  // Reads and verifies the whole log into `found`. Errc::corrupt names the record or file.
  // The folder outlives it, and its level is raised before the first record of a higher one.
  static Result<std::unique_ptr<LogDb>> open(const RocksOptions& options, Folder& folder,
                                             Alarm& alarm, LogFound& found);
  ~LogDb();
  LogDb(const LogDb&) = delete;
  LogDb& operator=(const LogDb&) = delete;

  // REQUIRES: the term does not fall, and within a term the vote does not change (hazard 3).
  void stage_state(const raft::HardState& state);
  // Replaces all entries from the index of the first one on. REQUIRES: the first one follows the
  // floor or an entry of the log, each other one the one before it; no term is above the state's.
  void stage_entries(const std::vector<raft::EntryPtr>& entries);
  void stage_cluster(raft::ClusterId cluster);
  // Drops the entries up to floor.last, which becomes the floor. Does nothing where the floor is
  // there already. REQUIRES: floor.last is not above the last entry.
  void stage_trim(const raft::SnapshotMetadata& floor);
  // Notes that from this commit on the data may be at install.mark (recovery.h).
  void stage_install(const Install& install);
  void stage_no_install();
  // Ends an installation: `mark` becomes the floor. Where the log holds the entry mark.last itself,
  // the entries that follow it stay, as they may have been acknowledged (paper figure 13, rule 6);
  // else all entries go. REQUIRES: nothing is staged; mark.last.term is not above the state's term.
  Status stage_restart(const raft::SnapshotMetadata& mark);

  [[nodiscard]] bool anything_staged() const;
  [[nodiscard]] std::size_t staged_bytes() const;
  // Writes all that is staged as one batch and syncs it. Durable at return. REQUIRES:
  // anything_staged().
  Status commit();

  // As in compactions.h.
  void compact_early(bool early);
  void flush_soon() const;

  [[nodiscard]] raft::EntryId last() const { return head_.last; }
  [[nodiscard]] raft::HardState state() const { return head_.state; }

 private:
  LogDb(Folder& folder, std::unique_ptr<rocksdb::DB> db, HighWaterMark high_water_mark);
  Status read(LogFound& found);
  Status read_entries(LogFound& found);
  Result<bool> holds(raft::EntryId id);
  void reclaim();

  Folder& folder_;
  std::string path_;
  std::unique_ptr<rocksdb::DB> db_;
  HighWaterMark high_water_mark_;
  std::unique_ptr<rocksdb::WriteBatch> batch_;  // what is staged
  Identity identity_;
  Head head_;
  Floor floor_;
  // Of floor, floor + 1, .. last: what a record that overwrites a suffix is chained to.
  std::deque<Chain> chains_;
  bool state_staged_ = false;  // commit() writes the state, as part of the head
  bool trimmed_ = false;       // entries are dropped in this batch
  raft::Level level_;          // the highest of a configuration in any batch so far
  std::string scratch_;
};

}  // namespace iris::store
