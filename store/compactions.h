// Compactions: how much disk space a compaction may take, and how RocksDB is made to compact and
// flush earlier while space is scarce (disk_budget.h says when).
// Any thread. Owns nothing. A request that fails is not reported here: it fails because the disk
// refuses, and the database's listener hears of that (db_listener.h).
#pragma once

#include <cstdint>

namespace rocksdb {
class ColumnFamilyHandle;
class DB;
}  // namespace rocksdb

namespace iris::store {

// So many files on level 0 begin a compaction, where it is not to begin early.
inline constexpr int level0_files = 4;

// An upper bound of what the largest compactions of all families together write now.
[[nodiscard]] std::uint64_t largest_compaction_bytes(rocksdb::DB& db,
                                                     std::uint64_t table_file_bytes);

// early: each file that reaches level 0 is compacted at once. Else level0_files are awaited. Holds
// for one family; a family begins with `early` false.
void compact_early(rocksdb::DB& db, rocksdb::ColumnFamilyHandle* family, bool early);

// Begins to flush the family's memtables, if there is anything in them, and does not wait for the
// end. Does nothing while level0_files wait on level 0: compactions that do not fit would only be
// given more to do.
void flush_soon(rocksdb::DB& db, rocksdb::ColumnFamilyHandle* family);

}  // namespace iris::store
