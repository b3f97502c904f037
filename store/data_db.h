// DataDb: data/, what the log's commands have made of the tables. One RocksDB write per batch of
// jobs, with the applied EntryId in it; synced only by sync() and when a snapshot is installed.
// Data lane only, but where a line says otherwise. Owns the database and the current family.
// Never repairs and never retries.
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
struct ReadOptions;
struct WriteOptions;
}  // namespace rocksdb

namespace iris::store {

// A received snapshot, checked, synced, and not yet the truth.
struct Staged {
  raft::SnapshotMark mark;
  std::vector<std::string> files;  // sorted tables, their key ranges apart
};

class DataDb {
 public:
  // Makes data/ of a new folder: no rows, applied up to `mark`.
  static Status create(const RocksOptions& options, const Folder& folder,
                       const raft::SnapshotMark& mark);
  // Errc::corrupt names what is damaged. `found` is what the data says of itself.
  static Result<std::unique_ptr<DataDb>> open(const RocksOptions& options, const Folder& folder,
                                              Alarm& alarm, raft::SnapshotMark& found);
  // REQUIRES: nobody has a family of it any more.
  ~DataDb();
  DataDb(const DataDb&) = delete;
  DataDb& operator=(const DataDb&) = delete;

  [[nodiscard]] const std::shared_ptr<Family>& family() const { return family_; }

  // The batch with what it says of itself, atomically; then it is empty. REQUIRES: begun on
  // family().
  Status write(RowBatch& batch, const std::optional<Store::Applied>& applied);
  // The batch, and that with it the data is at `mark`, durably, all or nothing. REQUIRES: as above.
  Status become(RowBatch& batch, const raft::SnapshotMark& mark);
  // All that was written is durable.
  Status sync();
  // As in compactions.h, of the current family and of those that take its place.
  void compact_early(bool early);
  void flush_soon();
  // Puts a staged snapshot in the place of the whole data, durably, all or nothing. The files are
  // moved.
  Status install(const Staged& staged);

  // What a family says of itself (any thread). Errc::corrupt; Errc::io also where `read` was told
  // not to touch the disk and would have to.
  static Result<raft::SnapshotMark> read_mark(const Family& family,
                                              const rocksdb::ReadOptions& read);

  // Families that are not in use any more wait here for reap(), which may block on their files.
  // Both on any thread; `retired` is told of each.
  void on_retired(std::function<void()> retired);
  void reap();

 private:
  DataDb(const RocksOptions& options, std::string path);
  Status read(const raft::NodeId& self, const std::vector<rocksdb::ColumnFamilyHandle*>& handles,
              raft::SnapshotMark& found);
  [[nodiscard]] std::shared_ptr<Family> make_family(std::uint64_t number,
                                                    rocksdb::ColumnFamilyHandle* handle);
  void retire(rocksdb::ColumnFamilyHandle* handle);
  Status write(RowBatch& batch, const std::optional<Store::Applied>& applied,
               const rocksdb::WriteOptions& how);

  const std::string path_;
  const RocksOptions& options_;
  std::shared_ptr<rocksdb::Cache> cache_;
  std::unique_ptr<rocksdb::DB> db_;
  rocksdb::ColumnFamilyHandle* default_ = nullptr;
  std::shared_ptr<Family> family_;
  bool early_ = false;
  std::unique_ptr<rocksdb::WriteBatch> rows_;  // of the batch that is being written
  std::mutex retired_mutex_;
  std::vector<rocksdb::ColumnFamilyHandle*> retired_;
  std::function<void()> on_retired_;
  std::atomic<int> families_alive_{0};
};

}  // namespace iris::store
