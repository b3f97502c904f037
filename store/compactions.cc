#include "store/compactions.h"

#include <rocksdb/db.h>
#include <rocksdb/metadata.h>
#include <rocksdb/options.h>

#include <algorithm>
#include <charconv>
#include <string>
#include <vector>

namespace iris::store {

namespace {

constexpr std::uint64_t files_per_compaction = 12;
// RocksDB allocates so many tenths of the size that a file may have, before it writes the file. The
// last file of a compaction gives most of it back.
constexpr std::uint64_t allocated_tenths = 11;

// At worst all of level 0 is merged with the whole level below it. A deeper compaction is smaller,
// except where the upper levels are nearly empty.
std::uint64_t largest_compaction_bytes(const rocksdb::ColumnFamilyMetaData& family,
                                       std::uint64_t table_file_bytes) {
  std::uint64_t upper = 0;
  for (const rocksdb::LevelMetaData& level : family.levels) {
    upper += level.size;
    if (level.level > 0 && level.size > 0) break;
  }
  const std::uint64_t bytes =
      std::max(upper, std::min(family.size, files_per_compaction * table_file_bytes));
  return bytes + std::min(bytes, table_file_bytes) / 10 * allocated_tenths;
}

}  // namespace

std::uint64_t largest_compaction_bytes(rocksdb::DB& db, std::uint64_t table_file_bytes) {
  std::vector<rocksdb::ColumnFamilyMetaData> families;
  db.GetAllColumnFamilyMetaData(&families);
  std::uint64_t bytes = 0;
  for (const rocksdb::ColumnFamilyMetaData& family : families) {
    bytes += largest_compaction_bytes(family, table_file_bytes);
  }
  return bytes;
}

void compact_early(rocksdb::DB& db, rocksdb::ColumnFamilyHandle* family, bool early) {
  const std::string files = std::to_string(early ? 1 : level0_files);
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
  // With level0_files there RocksDB prefers level 0 to a deeper level whose compaction does not
  // fit: more files would not help.
  int files = 0;
  std::from_chars(files_text.data(), files_text.data() + files_text.size(), files);
  if (files >= level0_files) return;
  rocksdb::FlushOptions flush;
  flush.wait = false;
  flush.allow_write_stall = true;
  db.Flush(flush, family).PermitUncheckedError();
}

}  // namespace iris::store
