#include "store/engine.h"

#include <rocksdb/cache.h>
#include <rocksdb/convenience.h>
#include <rocksdb/db.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/options.h>
#include <rocksdb/table.h>

#include <algorithm>
#include <vector>

#include "raft/check.h"
#include "store/compactions.h"
#include "store/db_listener.h"
#include "store/disk_budget.h"

namespace iris::store {

namespace {

constexpr std::uint64_t smoothing_bytes = 1u << 20;
constexpr double bloom_bits_per_key = 10;
// Writers are never held up for the number of files on level 0: where compactions are put off for
// lack of disk space they would wait without a word, for ever (hazard 96). What gathers on level 0
// counts against the budget (disk_budget.h), so growth is refused before that.
constexpr int level0_files_unlimited = 1 << 20;

rocksdb::DBOptions common_options(const RocksOptions& options, Alarm& alarm,
                                  DiskBudget::Part part) {
  rocksdb::DBOptions common;
  common.env = options.env != nullptr ? options.env : rocksdb::Env::Default();
  if (options.budget != nullptr) {
    common.sst_file_manager = options.budget->file_manager();
    common.write_buffer_manager = options.budget->buffer_manager();
  }
  common.listeners.push_back(make_db_listener(options, alarm, part));
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

void set_levels(const RocksOptions& options, rocksdb::ColumnFamilyOptions& family) {
  family.target_file_size_base = options.table_file_bytes;
  family.level0_file_num_compaction_trigger = level0_files;
  family.level0_slowdown_writes_trigger = level0_files_unlimited;
  family.level0_stop_writes_trigger = level0_files_unlimited;
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

std::shared_ptr<DiskBudget> make_budget(const RocksOptions& options) {
  const std::uint64_t file =
      options.log_memtable_bytes +
      options.data_memtable_bytes * static_cast<std::uint64_t>(options.data_memtables_merged);
  return std::make_shared<DiskBudget>(options.env, options.disk_kept_free_bytes,
                                      level0_files * file);
}

rocksdb::Options log_options(const RocksOptions& options, Alarm& alarm) {
  rocksdb::DBOptions shared = common_options(options, alarm, DiskBudget::Part::log);
  // Point-in-time recovery, the default, silently drops synced records behind a damaged one.
  shared.wal_recovery_mode = rocksdb::WALRecoveryMode::kTolerateCorruptedTailRecords;
  shared.track_and_verify_wals_in_manifest = true;
  shared.max_open_files = options.log_files_open_max;
  // The log is written once, in order, read once at a start and dropped from the front: a cache, a
  // filter or compression would not pay, as most of it is gone before it is read at all.
  rocksdb::ColumnFamilyOptions records;
  records.write_buffer_size = options.log_memtable_bytes;
  records.max_write_buffer_number = options.memtables_max;
  records.compression = rocksdb::kNoCompression;
  set_levels(options, records);
  records.disable_auto_compactions = options.run_lane != nullptr;
  rocksdb::BlockBasedTableOptions table;
  table.no_block_cache = true;
  table.block_size = 32u << 10;
  table.format_version = 5;
  records.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  return {shared, records};
}

rocksdb::DBOptions data_options(const RocksOptions& options, Alarm& alarm) {
  rocksdb::DBOptions shared = common_options(options, alarm, DiskBudget::Part::data);
  // The data is not synced: after a power cut it falls back to a consistent earlier state, and the
  // log has the rest. recovery.h checks at start that the log has it.
  shared.wal_recovery_mode = rocksdb::WALRecoveryMode::kPointInTimeRecovery;
  shared.max_open_files = options.data_files_open_max;
  // The kernel writes the data's pages out steadily: else a sync of the log would wait for a heap
  // of them on the same disk.
  shared.wal_bytes_per_sync = smoothing_bytes;
  return shared;
}

rocksdb::ColumnFamilyOptions rows_options(const RocksOptions& options,
                                          const std::shared_ptr<rocksdb::Cache>& cache) {
  rocksdb::ColumnFamilyOptions rows;
  rows.write_buffer_size = options.data_memtable_bytes;
  rows.min_write_buffer_number_to_merge = options.data_memtables_merged;
  rows.max_write_buffer_number = options.memtables_max * options.data_memtables_merged;
  // Most commands ask for a key that is not in the memtable; the memtable's own filter says so
  // without a search.
  rows.memtable_prefix_bloom_size_ratio = 0.02;
  rows.memtable_whole_key_filtering = true;
  rows.level_compaction_dynamic_level_bytes = true;
  set_levels(options, rows);
  rows.compression = best_compression();
  rows.disable_auto_compactions = options.run_lane != nullptr;
  rocksdb::BlockBasedTableOptions table;
  table.block_cache = cache;
  table.cache_index_and_filter_blocks = true;  // so the cache bounds all memory of reads
  table.pin_l0_filter_and_index_blocks_in_cache = true;
  table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(bloom_bits_per_key));
  table.format_version = 5;
  rows.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  return rows;
}

rocksdb::ColumnFamilyOptions small_options(const RocksOptions& options) {
  rocksdb::ColumnFamilyOptions small;
  small.write_buffer_size = smoothing_bytes;
  set_levels(options, small);
  small.disable_auto_compactions = options.run_lane != nullptr;
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

void check_log_settings(const rocksdb::DB& log) {
  const rocksdb::DBOptions now = log.GetDBOptions();
  CHECK(now.wal_recovery_mode == rocksdb::WALRecoveryMode::kTolerateCorruptedTailRecords);
  CHECK(now.track_and_verify_wals_in_manifest);
  CHECK(now.recycle_log_file_num ==
        0);  // else an old record in a reused file could pass for a new one
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
