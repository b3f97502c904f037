#include "store/engine.h"

#include <rocksdb/cache.h>
#include <rocksdb/convenience.h>
#include <rocksdb/db.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/listener.h>
#include <rocksdb/options.h>
#include <rocksdb/table.h>

#include <algorithm>
#include <charconv>
#include <mutex>
#include <utility>
#include <vector>

#include "raft/check.h"
#include "store/room.h"

namespace iris::store {

namespace {

constexpr std::uint64_t smoothing_bytes = 1u << 20;
constexpr double bloom_bits_per_key = 10;
// A compaction below the upper levels takes a file and what it overlaps, ten times as much or a
// little more: small files, so that it finds room on a disk that is nearly full.
constexpr std::uint64_t file_bytes = 32u << 20;
constexpr std::uint64_t files_per_compaction = 12;
// RocksDB allocates so much of the size that a file may have, before it writes it; the last file of
// a compaction gives most of it back.
constexpr std::uint64_t allocated_tenths = 11;
// Files on level 0 that begin a compaction, and (never) that hold up writers: where compactions are
// put off for want of room they would wait without a word, for ever (hazard 96). What gathers there
// counts as taken (room.h), and so growth is refused before that.
constexpr int level0_compacted = 4;
constexpr int level0_never = 1 << 20;

// All of level 0 goes into the whole level below it, at worst; a deeper one is smaller but where
// the upper levels are nearly empty.
std::uint64_t largest_compaction_bytes(const rocksdb::ColumnFamilyMetaData& family) {
  std::uint64_t upper = 0;
  for (const rocksdb::LevelMetaData& level : family.levels) {
    upper += level.size;
    if (level.level > 0 && level.size > 0) break;
  }
  const std::uint64_t bytes =
      std::max(upper, std::min(family.size, files_per_compaction * file_bytes));
  return bytes + std::min(bytes, file_bytes) / 10 * allocated_tenths;
}

// RocksDB would heal some background errors by itself and go on; a node must not (hazard 95).
//
// Keeps the room informed of what compactions want.
//
// And keeps the write-ahead files of the data in their order. They are not synced, and a new one is
// begun with each memtable: a power cut could take the end of one and leave the next, which
// RocksDB would replay over the gap. So one file is synced before the next is written to.
class Listener final : public rocksdb::EventListener {
 public:
  Listener(const RocksOptions& options, Alarm& alarm, Room::Part part)
      : path_(options.path), alarm_(alarm), room_(options.room), part_(part) {}
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
  void OnFlushCompleted(rocksdb::DB* db, const rocksdb::FlushJobInfo& /*info*/) override {
    reckon(*db);
  }
  void OnCompactionBegin(rocksdb::DB* /*db*/, const rocksdb::CompactionJobInfo& /*info*/) override {
    compaction_wrote(0);
  }
  void OnTableFileCreated(const rocksdb::TableFileCreationInfo& info) override {
    if (info.reason == rocksdb::TableFileCreationReason::kCompaction) {
      compaction_wrote(written_ + info.file_size);
    }
  }
  void OnCompactionCompleted(rocksdb::DB* db, const rocksdb::CompactionJobInfo& /*info*/) override {
    compaction_wrote(0);
    reckon(*db);
  }
  void OnExternalFileIngested(rocksdb::DB* db,
                              const rocksdb::ExternalFileIngestionInfo& /*info*/) override {
    reckon(*db);
  }
  void keep_in_order(rocksdb::DB& db) { ordered_ = &db; }

  void reckon(rocksdb::DB& db) {
    if (room_ == nullptr) return;
    const std::lock_guard lock(reckoning_);  // the newest state is told last
    std::vector<rocksdb::ColumnFamilyMetaData> families;
    db.GetAllColumnFamilyMetaData(&families);
    std::uint64_t bytes = 0;
    for (const auto& family : families) bytes += largest_compaction_bytes(family);
    room_->compaction_takes(part_, bytes);
  }

 private:
  void compaction_wrote(std::uint64_t bytes) {
    written_ = bytes;
    if (room_ != nullptr) room_->compaction_wrote(part_, bytes);
  }

  const std::string path_;
  Alarm& alarm_;
  const std::shared_ptr<Room> room_;
  const Room::Part part_;
  std::uint64_t written_ = 0;  // on the one thread that compacts
  std::mutex reckoning_;
  rocksdb::DB* ordered_ = nullptr;  // once it is open
};

rocksdb::DBOptions common_options(const RocksOptions& options, Alarm& alarm, Room::Part part) {
  rocksdb::DBOptions common;
  common.env = options.env != nullptr ? options.env : rocksdb::Env::Default();
  if (options.room != nullptr) {
    common.sst_file_manager = options.room->files();
    common.write_buffer_manager = options.room->memtables();
  }
  common.listeners.push_back(std::make_shared<Listener>(options, alarm, part));
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

void set_levels(rocksdb::ColumnFamilyOptions& family) {
  family.target_file_size_base = file_bytes;
  family.level0_file_num_compaction_trigger = level0_compacted;
  family.level0_slowdown_writes_trigger = level0_never;
  family.level0_stop_writes_trigger = level0_never;
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

std::shared_ptr<Room> make_room(const RocksOptions& options) {
  const std::uint64_t file =
      options.log_memtable_bytes +
      options.data_memtable_bytes * static_cast<std::uint64_t>(options.data_memtables_merged);
  return std::make_shared<Room>(options.env, options.disk_kept_free_bytes, level0_compacted * file);
}

rocksdb::Options log_options(const RocksOptions& options, Alarm& alarm) {
  rocksdb::DBOptions shared = common_options(options, alarm, Room::Part::log);
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
  set_levels(records);
  records.disable_auto_compactions = options.run_lane != nullptr;
  rocksdb::BlockBasedTableOptions table;
  table.no_block_cache = true;
  table.block_size = 32u << 10;
  table.format_version = 5;
  records.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  return {shared, records};
}

rocksdb::DBOptions data_options(const RocksOptions& options, Alarm& alarm) {
  rocksdb::DBOptions shared = common_options(options, alarm, Room::Part::data);
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
  set_levels(rows);
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
  set_levels(small);
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

void reckon_compactions(rocksdb::DB& db) {
  dynamic_cast<Listener&>(*db.GetDBOptions().listeners.at(0)).reckon(db);
}

// Where these two fail, the disk refuses: the listener hears of it.
void hurry_compactions(rocksdb::DB& db, rocksdb::ColumnFamilyHandle* family, bool hurry) {
  const std::string files = std::to_string(hurry ? 1 : level0_compacted);
  db.SetOptions(family, {{"level0_file_num_compaction_trigger", files}}).PermitUncheckedError();
}

void flush_soon(rocksdb::DB& db, rocksdb::ColumnFamilyHandle* family) {
  using Properties = rocksdb::DB::Properties;
  std::string files_text;
  std::uint64_t rows = 0;
  std::uint64_t full_rows = 0;
  const bool known =
      db.GetProperty(family, Properties::kNumFilesAtLevelPrefix + "0", &files_text) &&
      db.GetIntProperty(family, Properties::kNumEntriesActiveMemTable, &rows) &&
      db.GetIntProperty(family, Properties::kNumEntriesImmMemTables, &full_rows);
  if (!known || rows + full_rows == 0) return;
  // Enough of them that level 0 is in greater need than a deeper level whose compaction does not
  // fit.
  int files = 0;
  std::from_chars(files_text.data(), files_text.data() + files_text.size(), files);
  if (files >= level0_compacted) return;
  rocksdb::FlushOptions flush;
  flush.wait = false;
  flush.allow_write_stall = true;
  db.Flush(flush, family).PermitUncheckedError();
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
