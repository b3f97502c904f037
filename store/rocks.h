// The Store on RocksDB: log/ and data/ in one raft folder, each a database of its own, so that an
// unsynced write of the data never waits for a sync of the log.
// open_rocks() blocks and is called before the loop runs; the Store is used on the loop thread.
// Owns four threads (the log, data, read and bulk lanes) and those of RocksDB. All callbacks come
// through `post`.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "raft/result.h"
#include "store/store.h"

namespace rocksdb {
class Env;
}

namespace iris::store {

class DiskBudget;

enum class LaneName { log, data, read, bulk };

struct RocksOptions {
  // Path of the raft folder, which is made (mode 0700) where there is none. REQUIRES: not empty.
  std::string path;
  // Runs a function on the loop: later, and in the order of the calls. Called on any thread.
  std::function<void(std::function<void()>)> post;

  // Memory. The block cache holds blocks of the data that were read lately; cached() answers from
  // it and from the memtables.
  std::size_t block_cache_bytes = 64u << 20;
  std::size_t row_memory_bytes = 8u << 20;  // of remembered rows (row_batch.h)
  // Memtables of the data are small, as an insertion searches a skip list that should fit into the
  // processor's cache: one of 32 MiB takes 1.3 times as long (iris-microbench memtables).
  // data_memtables_merged full ones are merged before they become a file.
  std::size_t data_memtable_bytes = 8u << 20;
  int data_memtables_merged = 4;
  std::size_t log_memtable_bytes = 32u << 20;
  // Of the log; of the data, times data_memtables_merged. Where all are full, writes wait for a
  // flush.
  int memtables_max = 3;
  int data_files_open_max = 512;  // file descriptors; REQUIRES: >= 32
  int log_files_open_max = 64;
  bool keep_priorities = false;               // the bulk lane runs at the priority of the others
  std::size_t import_file_bytes = 32u << 20;  // of the files that a received snapshot becomes
  // Of the tables of both databases. A compaction below the upper levels takes one file and the
  // files it overlaps, ten times as much or a little more: files are small, so that it fits on a
  // disk that is nearly full.
  std::size_t table_file_bytes = 32u << 20;

  // RocksDB begins no compaction that would leave less than this of the disk free, and an import is
  // refused that would leave less than a quarter of it. The node refuses growth below twice this.
  std::uint64_t disk_kept_free_bytes = 64u << 20;

  // --- For tests only.
  // Another file system beneath both databases; nullptr: the real one.
  rocksdb::Env* env = nullptr;
  // Called on a lane after each step of an installation: "install noted", "family made", "files
  // moved", "data flipped", "data flushed", "old data dropped", "log restarted".
  std::function<void(std::string_view step)> on_step;
  // The lanes have no threads: this gets their work, and runs it later, on the loop, that of each
  // lane in order. Work that has not run when the store is destroyed is dropped. Compactions are
  // off.
  std::function<void(LaneName lane, std::function<void()> work)> run_lane;
  raft::NodeId first_self;  // of a new folder; 0: random
  // A folder of a cluster above this feature level is refused.
  raft::Level level_max{UINT64_MAX};

  // --- Not an option: open_rocks() makes it for both databases (disk_budget.h). nullptr, in
  // programs that are not serving: RocksDB uses the disk without limits.
  std::shared_ptr<DiskBudget> budget;
};

// A reserve is this at least: below it one flush would not fit.
inline constexpr std::uint64_t disk_reserve_bytes_min = 32u << 20;
// Sets disk_kept_free_bytes, and makes memtables and tables as small as a small reserve needs: what
// a flush takes of the disk comes out of the reserve. REQUIRES: 0 (no reserve), or at least
// disk_reserve_bytes_min.
void fit_to_reserve(RocksOptions& options, std::uint64_t reserve_bytes);

// Makes or opens the folder, and verifies the whole log. Errc::busy: another process uses the
// folder; names its pid. Errc::unimplemented: it was written by a newer version, or is of a cluster
// above `level_max`. Errc::refused: it is condemned, or of an Iris of 2017. Errc::io: the system
// refuses, or the disk is too full to start. Errc::corrupt: names the damage; nothing is repaired.
Result<std::unique_ptr<Store>> open_rocks(RocksOptions options);

}  // namespace iris::store
