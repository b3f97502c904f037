// DbListener: the events of one database that Iris reacts to. Each database has exactly one.
//   A background error raises the alarm. RocksDB would recover from some of them by itself and go
//   on; a node must not (hazard 95).
//   Files that come and go change the estimate of what compactions take (disk_budget.h).
//   A memtable of the data that is sealed has its write-ahead file synced.
// Called by RocksDB on its own threads and on the thread that writes. Owns the estimate.
#pragma once

#include <memory>

#include "store/alarm.h"
#include "store/disk_budget.h"
#include "store/rocks.h"

namespace rocksdb {
class DB;
class EventListener;
}  // namespace rocksdb

namespace iris::store {

// `alarm` outlives the database. The estimate goes to options.budget, where there is one.
[[nodiscard]] std::shared_ptr<rocksdb::EventListener> make_db_listener(const RocksOptions& options,
                                                                       Alarm& alarm,
                                                                       DiskBudget::Part part);

// From now on a later write-ahead file never survives a power cut in which an earlier one was lost.
// REQUIRES: `data` was opened with a listener of ours, and nothing has been written to it yet.
void keep_write_ahead_files_in_order(rocksdb::DB& data);

// Estimates anew what compactions take. RocksDB tells of all that changes it but of two things:
// that a database was opened, and that a family was dropped.
void update_compaction_estimate(rocksdb::DB& db);

}  // namespace iris::store
