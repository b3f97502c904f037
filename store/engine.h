// Engine: how Iris sets RocksDB up, in one place: what the log demands for durability, what the
// data is tuned for, and the proof at start that the settings are the ones in force (testing 3e).
// Any thread; owns nothing.
#pragma once

#include <memory>
#include <string>

#include "raft/result.h"
#include "store/alarm.h"
#include "store/rocks.h"

namespace rocksdb {
class Cache;
class ColumnFamilyHandle;
class DB;
class Slice;
class Status;
struct ColumnFamilyOptions;
struct DBOptions;
struct Options;
struct WriteOptions;
}  // namespace rocksdb

namespace iris::store {

[[nodiscard]] std::shared_ptr<Room> make_room(const RocksOptions& options);
// `alarm` hears of every background error and outlives the database.
[[nodiscard]] rocksdb::Options log_options(const RocksOptions& options, Alarm& alarm);
[[nodiscard]] rocksdb::DBOptions data_options(const RocksOptions& options, Alarm& alarm);
// For the families that hold rows; `cache` is shared by all of them.
[[nodiscard]] rocksdb::ColumnFamilyOptions rows_options(
    const RocksOptions& options, const std::shared_ptr<rocksdb::Cache>& cache);
// For the data's default family, which holds two records.
[[nodiscard]] rocksdb::ColumnFamilyOptions small_options();

[[nodiscard]] rocksdb::WriteOptions synced_write();
[[nodiscard]] rocksdb::WriteOptions unsynced_write();

// Of the data, once it is open and before anything is written: a later file never outlives an
// earlier one, whatever a power cut leaves.
void keep_write_ahead_files_in_order(rocksdb::DB& data);

// Tells the room what compactions may want of it now. Done by itself whenever files come and go,
// but for a database that was just opened and a family that was dropped.
void reckon_compactions(rocksdb::DB& db);
// Compacts at once what reaches level 0, or waits for company, as at first. To be told of each
// family.
void hurry_compactions(rocksdb::DB& db, rocksdb::ColumnFamilyHandle* family, bool hurry);
// What is in memory becomes a file soon; not while several wait to be merged, so that compactions
// which do not fit are not fed more. Does not wait for it.
void flush_soon(rocksdb::DB& db, rocksdb::ColumnFamilyHandle* family);

// CHECKs what durability rests on, as RocksDB has it after it changed what it wanted to.
void check_log_settings(const rocksdb::DB& log);
void check_data_settings(const rocksdb::DB& data);

// Errc::corrupt or Errc::io; the text is `what` and RocksDB's reason.
[[nodiscard]] Error engine_error(const std::string& what, const rocksdb::Status& status);

}  // namespace iris::store
