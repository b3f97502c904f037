#include "store/db_listener.h"

#include <rocksdb/db.h>
#include <rocksdb/listener.h>
#include <rocksdb/options.h>

#include <cstdint>
#include <mutex>
#include <string>

#include "store/compactions.h"
#include "store/engine.h"

namespace iris::store {

namespace {

class DbListener final : public rocksdb::EventListener {
 public:
  DbListener(const RocksOptions& options, Alarm& alarm, DiskBudget::Part part)
      : path_(options.path),
        alarm_(alarm),
        budget_(options.budget),
        part_(part),
        table_file_bytes_(options.table_file_bytes) {}

  void OnBackgroundError(rocksdb::BackgroundErrorReason /*reason*/,
                         rocksdb::Status* status) override {
    alarm_.raise(engine_error("the disk refuses what is written in raft folder " + path_, *status));
  }
  void OnErrorRecoveryBegin(rocksdb::BackgroundErrorReason /*reason*/, rocksdb::Status /*error*/,
                            bool* auto_recovery) override {
    *auto_recovery = false;  // from a full disk: RocksDB would go on once there is space again
  }
  // Each memtable has a write-ahead file of its own, and those of the data are not synced: a power
  // cut could take the end of one and leave the next, which RocksDB would replay over the gap. This
  // runs on the thread that writes, after the last write to one file and before the first to the
  // next.
  void OnMemTableSealed(const rocksdb::MemTableInfo& /*info*/) override {
    if (ordered_ == nullptr) return;
    const rocksdb::Status synced = ordered_->SyncWAL();
    if (!synced.ok()) alarm_.raise(engine_error("cannot sync raft folder " + path_, synced));
  }
  void OnFlushCompleted(rocksdb::DB* db, const rocksdb::FlushJobInfo& /*info*/) override {
    update_estimate(*db);
  }
  void OnCompactionBegin(rocksdb::DB* /*db*/, const rocksdb::CompactionJobInfo& /*info*/) override {
    set_written(0);
  }
  void OnTableFileCreated(const rocksdb::TableFileCreationInfo& info) override {
    if (info.reason == rocksdb::TableFileCreationReason::kCompaction) {
      set_written(written_ + info.file_size);
    }
  }
  void OnCompactionCompleted(rocksdb::DB* db, const rocksdb::CompactionJobInfo& /*info*/) override {
    set_written(0);
    update_estimate(*db);
  }
  void OnExternalFileIngested(rocksdb::DB* db,
                              const rocksdb::ExternalFileIngestionInfo& /*info*/) override {
    update_estimate(*db);
  }

  void keep_in_order(rocksdb::DB& db) { ordered_ = &db; }

  void update_estimate(rocksdb::DB& db) {
    if (budget_ == nullptr) return;
    const std::lock_guard lock(estimate_mutex_);  // the newest state is told last
    budget_->set_compaction_bytes(part_, largest_compaction_bytes(db, table_file_bytes_));
  }

 private:
  void set_written(std::uint64_t bytes) {
    written_ = bytes;
    if (budget_ != nullptr) budget_->set_compaction_written(part_, bytes);
  }

  const std::string path_;
  Alarm& alarm_;
  const std::shared_ptr<DiskBudget> budget_;
  const DiskBudget::Part part_;
  const std::uint64_t table_file_bytes_;
  std::uint64_t written_ = 0;  // by the compaction under way; its thread only, there is one
  std::mutex estimate_mutex_;
  rocksdb::DB* ordered_ = nullptr;  // set once, while the database is opened
};

DbListener& listener_of(rocksdb::DB& db) {
  return dynamic_cast<DbListener&>(*db.GetDBOptions().listeners.at(0));
}

}  // namespace

std::shared_ptr<rocksdb::EventListener> make_db_listener(const RocksOptions& options, Alarm& alarm,
                                                         DiskBudget::Part part) {
  return std::make_shared<DbListener>(options, alarm, part);
}

void keep_write_ahead_files_in_order(rocksdb::DB& data) { listener_of(data).keep_in_order(data); }

void update_compaction_estimate(rocksdb::DB& db) { listener_of(db).update_estimate(db); }

}  // namespace iris::store
