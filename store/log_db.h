// LogDb: log/, the one place where durability is made. Stages any number of changes, then commits
// them as one RocksDB batch with one sync, headed by a record that says where the log now ends.
// Log lane only (open and create before it runs). Owns the database and the high-water mark.
// Never repairs and never retries: after a failed commit it must not be used again.
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

// The log as it lies on disk, every record verified.
struct LogFound {
  Identity identity;
  raft::HardState state;
  raft::SnapshotMark floor;
  std::vector<raft::EntryPtr> entries;  // contiguous, the first behind the floor
  std::optional<Install> install;       // an installation that was under way
};

class LogDb {
 public:
  // Makes log/ and log.mark of a new folder, durably.
  static Status create(const RocksOptions& options, const Folder& folder, const Identity& identity,
                       const raft::HardState& state, const raft::SnapshotMark& floor);
  // Reads and verifies everything into `found`. Errc::corrupt names the record or file.
  static Result<std::unique_ptr<LogDb>> open(const RocksOptions& options, const Folder& folder,
                                             Alarm& alarm, LogFound& found);
  ~LogDb();
  LogDb(const LogDb&) = delete;
  LogDb& operator=(const LogDb&) = delete;

  void stage_state(const raft::HardState& state);
  // Replaces everything from the first on. REQUIRES: that one follows the floor or an entry that is
  // there, the others follow it; the entries' terms do not pass the state's.
  void stage_entries(const std::vector<raft::EntryPtr>& entries);
  void stage_cluster(raft::ClusterId cluster);
  // Drops what is up to floor.last. REQUIRES: floor.last is in the log or below its floor.
  void stage_trim(const raft::SnapshotMark& floor);
  // From here on the data may be at install.mark already (see recovery.h).
  void stage_install(const Install& install);
  void stage_no_install();
  // The log goes on behind `mark`, and no installation is under way any more. Where the log holds
  // that very entry, what follows it stays: it may have been acknowledged (paper figure 13, rule
  // 6). REQUIRES: nothing else is staged.
  Status stage_restart(const raft::SnapshotMark& mark);

  [[nodiscard]] bool anything_staged() const;
  [[nodiscard]] std::size_t staged_bytes() const;
  // All that is staged, in one write and one sync. REQUIRES: anything_staged().
  Status commit();

  // As in compactions.h.
  void compact_early(bool early);
  void flush_soon();

  [[nodiscard]] raft::EntryId last() const { return head_.last; }
  [[nodiscard]] raft::HardState state() const { return head_.state; }

 private:
  LogDb(std::string path, std::unique_ptr<rocksdb::DB> db, HighWaterMark mark);
  Status read(LogFound& found);
  Status read_entries(LogFound& found);
  Result<bool> holds(raft::EntryId id);
  void reclaim();

  std::string path_;
  std::unique_ptr<rocksdb::DB> db_;
  HighWaterMark mark_;
  std::unique_ptr<rocksdb::WriteBatch> batch_;  // what is staged
  Identity identity_;
  Head head_;
  Floor floor_;
  std::deque<Chain> chains_;   // of floor, floor + 1, .. last: where an overwritten suffix goes on
  bool state_staged_ = false;  // it travels in the head, which commit() writes
  bool trimmed_ = false;       // in this batch
  std::string scratch_;
};

}  // namespace iris::store
