#include "store/engine.h"

#include <rocksdb/cache.h>
#include <rocksdb/convenience.h>
#include <rocksdb/db.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/listener.h>
#include <rocksdb/options.h>
#include <rocksdb/table.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "raft/check.h"
#include "store/room.h"

namespace iris::store {

namespace {

constexpr std::uint64_t smoothing_bytes = 1u << 20;
constexpr double bloom_bits_per_key = 10;

// RocksDB would heal some background errors by itself and go on; a node must not (hazard 95).
//
// And keeps the write-ahead files of the data in their order. They are not synced, and a new one is
// begun with each memtable: a power cut could take the end of one and leave the next, which
// RocksDB would replay over the gap. So one file is synced before the next is written to.
class Listener final : public rocksdb::EventListener {
 public:
  Listener(std::string path, Alarm& alarm) : path_(std::move(path)), alarm_(alarm) {}
  void OnBackgroundError(rocksdb::BackgroundErrorReason /*reason*/,
                         rocksdb::Status* status) override {
    alarm_.raise(engine_error("the disk refuses what is written in raft folder " + path_, *status));
  }
  void OnErrorRecoveryBegin(rocksdb::BackgroundErrorReason /*reason*/, rocksdb::Status /*error*/,
                            bool* auto_recovery) override {
    *auto_recovery = false;  // of a full disk: it would begin again once there is room
  }
  // On the thread that writes, between the two files.
  void OnMemTableSealed(const rocksdb::MemTableInfo& /*info*/) override {
    if (ordered_ == nullptr) return;
    const rocksdb::Status synced = ordered_->SyncWAL();
    if (!synced.ok()) alarm_.raise(engine_error("cannot sync raft folder " + path_, synced));
  }
  void keep_in_order(rocksdb::DB& db) { ordered_ = &db; }

 private:
  const std::string path_;
  Alarm& alarm_;
  rocksdb::DB* ordered_ = nullptr;  // once it is open
};

rocksdb::DBOptions common_options(const RocksOptions& options, Alarm& alarm) {
  rocksdb::DBOptions common;
  common.env = options.env != nullptr ? options.env : rocksdb::Env::Default();
  if (options.room != nullptr) {
    common.sst_file_manager = options.room->files();
    common.write_buffer_manager = options.room->memtables();
  }
  common.listeners.push_back(std::make_shared<Listener>(options.path, alarm));
  common.paranoid_checks = true;
  common.max_bgerror_resume_count = 0;
  common.max_background_jobs = 2;
  common.allow_concurrent_memtable_write = false;  // one writer: the lane
  common.enable_write_thread_adaptive_yield = false;
  common.bytes_per_sync = smoothing_bytes;
  common.stats_dump_period_sec = 0;
  common.stats_persist_period_sec = 0;
  common.info_log_level = rocksdb::WARN_LEVEL;
  common.max_log_file_size = smoothing_bytes;
  common.keep_log_file_num = 2;
  common.skip_stats_update_on_db_open = true;
  return common;
}

rocksdb::CompressionType best_compression() {
  const std::vector<rocksdb::CompressionType> known = rocksdb::GetSupportedCompressions();
  const bool lz4 = std::find(known.begin(), known.end(), rocksdb::kLZ4Compression) != known.end();
  return lz4 ? rocksdb::kLZ4Compression : rocksdb::kNoCompression;
}

void check_common_settings(const rocksdb::DBOptions& now) {
  CHECK(!now.manual_wal_flush);
  CHECK(now.paranoid_checks);
  CHECK(!now.best_efforts_recovery);
  CHECK(now.max_bgerror_resume_count == 0);
  CHECK(!now.unordered_write && !now.two_write_queues);
  CHECK(now.max_open_files > 0);
  CHECK(now.listeners.size() == 1);
}

}  // namespace

rocksdb::Options log_options(const RocksOptions& options, Alarm& alarm) {
  rocksdb::DBOptions shared = common_options(options, alarm);
  // Point-in-time recovery, the default, silently drops synced records behind a damaged one.
  shared.wal_recovery_mode = rocksdb::WALRecoveryMode::kTolerateCorruptedTailRecords;
  shared.track_and_verify_wals_in_manifest = true;
  shared.max_open_files = options.log_files_open_max;
  // Written once, in order, read once at a start, dropped from the front: no cache, no filter, and
  // no compression, as most of it is gone before a second look.
  rocksdb::ColumnFamilyOptions records;
  records.write_buffer_size = options.log_memtable_bytes;
  records.max_write_buffer_number = options.memtables_max;
  records.compression = rocksdb::kNoCompression;
  records.disable_auto_compactions = options.run_lane != nullptr;
  rocksdb::BlockBasedTableOptions table;
  table.no_block_cache = true;
  table.block_size = 32u << 10;
  table.format_version = 5;
  records.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  return {shared, records};
}

rocksdb::DBOptions data_options(const RocksOptions& options, Alarm& alarm) {
  rocksdb::DBOptions shared = common_options(options, alarm);
  // Not synced: after a power cut the data falls back to a consistent earlier state, and the log
  // has the rest. That it has it is checked at start (recovery.h).
  shared.wal_recovery_mode = rocksdb::WALRecoveryMode::kPointInTimeRecovery;
  shared.max_open_files = options.data_files_open_max;
  // Trickles out, so that a sync of the log does not find a heap of unwritten pages before it.
  shared.wal_bytes_per_sync = smoothing_bytes;
  return shared;
}

rocksdb::ColumnFamilyOptions rows_options(const RocksOptions& options,
                                          const std::shared_ptr<rocksdb::Cache>& cache) {
  rocksdb::ColumnFamilyOptions rows;
  rows.write_buffer_size = options.data_memtable_bytes;
  rows.min_write_buffer_number_to_merge = options.data_memtables_merged;
  rows.max_write_buffer_number = options.memtables_max * options.data_memtables_merged;
  // Most sets ask for a key that is not in the memtable: its own filter says so at once.
  rows.memtable_prefix_bloom_size_ratio = 0.02;
  rows.memtable_whole_key_filtering = true;
  rows.level_compaction_dynamic_level_bytes = true;
  rows.compression = best_compression();
  rows.disable_auto_compactions = options.run_lane != nullptr;
  rocksdb::BlockBasedTableOptions table;
  table.block_cache = cache;
  table.cache_index_and_filter_blocks = true;  // the cache is the bound of what reading costs
  table.pin_l0_filter_and_index_blocks_in_cache = true;
  table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(bloom_bits_per_key));
  table.format_version = 5;
  rows.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  return rows;
}

rocksdb::ColumnFamilyOptions small_options() {
  rocksdb::ColumnFamilyOptions small;
  small.write_buffer_size = smoothing_bytes;
  small.compression = rocksdb::kNoCompression;
  return small;
}

rocksdb::WriteOptions synced_write() {
  rocksdb::WriteOptions write;
  write.sync = true;
  write.disableWAL = false;
  return write;
}

rocksdb::WriteOptions unsynced_write() {
  rocksdb::WriteOptions write;
  write.sync = false;
  write.disableWAL = false;
  return write;
}

void keep_write_ahead_files_in_order(rocksdb::DB& data) {
  dynamic_cast<Listener&>(*data.GetDBOptions().listeners.at(0)).keep_in_order(data);
}

void check_log_settings(const rocksdb::DB& log) {
  const rocksdb::DBOptions now = log.GetDBOptions();
  CHECK(now.wal_recovery_mode == rocksdb::WALRecoveryMode::kTolerateCorruptedTailRecords);
  CHECK(now.track_and_verify_wals_in_manifest);
  CHECK(now.recycle_log_file_num == 0);  // an old record in a reused file could pass for a new one
  check_common_settings(now);
  CHECK(synced_write().sync && !synced_write().disableWAL);
}

void check_data_settings(const rocksdb::DB& data) {
  const rocksdb::DBOptions now = data.GetDBOptions();
  CHECK(now.wal_recovery_mode == rocksdb::WALRecoveryMode::kPointInTimeRecovery);
  check_common_settings(now);
  CHECK(!unsynced_write().disableWAL);
}

Error engine_error(const std::string& what, const rocksdb::Status& status) {
  return {status.IsCorruption() ? Errc::corrupt : Errc::io, what + ": " + status.ToString()};
}

}  // namespace iris::store
