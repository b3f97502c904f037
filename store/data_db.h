// DataDb: the database data/: the rows that the commands of the log have made. A batch of jobs is
// one write, which also holds the applied EntryId: rows and applied entry are never apart (hazard
// 70). Only sync(), become() and install() sync.
// Data lane, but where a line says otherwise; create() and open() run before it. Owns the database
// and the current family.
// Errors: Errc::io or Errc::corrupt, with a text that names the folder. Nothing is repaired or
// tried again: after an error the object may only be destroyed.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "raft/result.h"
#include "raft/types.h"
#include "store/alarm.h"
#include "store/family.h"
#include "store/folder.h"
#include "store/rocks.h"
#include "store/row_batch.h"

namespace rocksdb {
class Cache;
class WriteBatch;
struct WriteOptions;
}  // namespace rocksdb

namespace iris::store {

// A received snapshot: checked and synced, and not installed yet.
struct Staged {
  raft::SnapshotMetadata mark;
  std::vector<std::string> files;  // paths of sorted tables, whose key ranges do not overlap
};

class DataDb {
 public:
  // Makes data/ of a new folder, durably: no rows, applied up to `mark`.
  static Status create(const RocksOptions& options, const Folder& folder,
                       const raft::SnapshotMetadata& mark);
  // Errc::corrupt names what is damaged. `found` is what the data records of itself: the applied
  // entry and the configuration.
  static Result<std::unique_ptr<DataDb>> open(const RocksOptions& options, const Folder& folder,
                                              Alarm& alarm, raft::SnapshotMetadata& found);
  // REQUIRES: nobody holds a family of it any more.
  ~DataDb();
  DataDb(const DataDb&) = delete;
  DataDb& operator=(const DataDb&) = delete;

  [[nodiscard]] const std::shared_ptr<Family>& family() const { return family_; }

  // Writes the batch together with `applied`, atomically and unsynced; then the batch is empty.
  // REQUIRES: the batch was begun on family().
  Status write(RowBatch& batch, const std::optional<Store::Applied>& applied);
  // Writes the batch together with `mark` as what is applied, atomically and synced. REQUIRES: as
  // above.
  Status become(RowBatch& batch, const raft::SnapshotMetadata& mark);
  // Makes all that was written durable.
  Status sync();
  // As in compactions.h, of the current family and of those that take its place.
  void compact_early(bool early);
  // As in compactions.h, of the current family.
  void flush_soon() const;
  // Makes a staged snapshot the whole data, durably, all or nothing. Its files are moved.
  Status install(const Staged& staged);

  // Any thread. A family that nobody uses any more waits for reap(), which may block while its
  // files are deleted. `retired` is called for each, under a lock.
  void on_retired(std::function<void()> retired);
  void reap();

 private:
  DataDb(const RocksOptions& options, std::string path);
  // What a family records of itself. Errc::corrupt, Errc::io.
  static Result<raft::SnapshotMetadata> read_mark(const Family& family);
  Status read(const raft::NodeId& self, const std::vector<rocksdb::ColumnFamilyHandle*>& handles,
              raft::SnapshotMetadata& found);
  [[nodiscard]] std::shared_ptr<Family> make_family(std::uint64_t number,
                                                    rocksdb::ColumnFamilyHandle* handle);
  void retire(rocksdb::ColumnFamilyHandle* handle);
  Status write(RowBatch& batch, const std::optional<Store::Applied>& applied,
               const rocksdb::WriteOptions& how);

  void announce(const Store::Applied& applied, std::uint64_t sequence) const;

  const std::string path_;
  const RocksOptions& options_;
  std::shared_ptr<rocksdb::Cache> cache_;
  std::unique_ptr<rocksdb::DB> db_;
  rocksdb::ColumnFamilyHandle* default_ = nullptr;
  std::shared_ptr<Family> family_;
  bool early_ = false;
  std::unique_ptr<rocksdb::WriteBatch> rows_;  // scratch of write()
  std::mutex retired_mutex_;
  std::vector<rocksdb::ColumnFamilyHandle*> retired_;
  std::function<void()> on_retired_;
  std::atomic<int> families_alive_{0};
};

}  // namespace iris::store
