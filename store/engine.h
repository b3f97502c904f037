// Engine: RocksDB's settings, in one place: what the durability of the log demands, what the data
// is tuned for, and the CHECKs at start that the settings are in force.
// Any thread. Owns nothing.
#pragma once

#include <memory>
#include <string>

#include "raft/result.h"
#include "store/alarm.h"
#include "store/rocks.h"

namespace rocksdb {
class Cache;
class DB;
class Status;
struct ColumnFamilyOptions;
struct DBOptions;
struct Options;
struct WriteOptions;
}  // namespace rocksdb

namespace iris::store {

[[nodiscard]] std::shared_ptr<DiskBudget> make_budget(const RocksOptions& options);
// `alarm` is raised by every background error and outlives the database.
[[nodiscard]] rocksdb::Options log_options(const RocksOptions& options, Alarm& alarm);
[[nodiscard]] rocksdb::DBOptions data_options(const RocksOptions& options, Alarm& alarm);
// Of the families that hold rows; they share `cache`.
[[nodiscard]] rocksdb::ColumnFamilyOptions rows_options(
    const RocksOptions& options, const std::shared_ptr<rocksdb::Cache>& cache);
// Of the data's default family, which holds two records.
[[nodiscard]] rocksdb::ColumnFamilyOptions small_options(const RocksOptions& options);

[[nodiscard]] rocksdb::WriteOptions synced_write();
[[nodiscard]] rocksdb::WriteOptions unsynced_write();

// CHECK what durability rests on, in the options as RocksDB has them: it changes options that it
// thinks do not fit together.
void check_log_settings(const rocksdb::DB& log);
void check_data_settings(const rocksdb::DB& data);

// Errc::corrupt or Errc::io; the text is `what` and RocksDB's reason.
[[nodiscard]] Error engine_error(const std::string& what, const rocksdb::Status& status);

}  // namespace iris::store
