// The Store on RocksDB: log/ and data/ under one raft folder, each an instance of its own, so that
// no unsynced write of the data waits for a sync of the log.
// open_rocks() blocks and is called before the loop runs; the Store is used on the loop thread.
// Owns four threads (log, data, read and bulk lanes) and what RocksDB starts. Never calls back from
// inside a call: everything comes through `post`.
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

class Room;

enum class LaneName { log, data, read, bulk };

struct RocksOptions {
  // The raft folder. Made (mode 0700) where there is none. REQUIRES: not empty.
  std::string path;
  // Runs what it is given on the loop, later, in order. Called from any thread.
  std::function<void(std::function<void()>)> post;

  // Memory. Blocks of the data read last, and what of them cached() can answer from.
  std::size_t block_cache_bytes = 64u << 20;
  std::size_t row_memory_bytes = 8u << 20;  // of rows remembered (row_batch.h)
  // Small, as each insertion walks a skip list that should fit the processor's cache; full ones are
  // merged, data_memtables_merged together, before they become a file.
  std::size_t data_memtable_bytes = 8u << 20;
  int data_memtables_merged = 4;
  std::size_t log_memtable_bytes = 32u << 20;
  int memtables_max = 3;  // of the log, of the data times data_memtables_merged: then writes wait
  int data_files_open_max = 512;  // file descriptors; REQUIRES: >= 32
  int log_files_open_max = 64;
  bool keep_priorities = false;               // the bulk lane runs at the priority of the others
  std::size_t import_file_bytes = 32u << 20;  // a received snapshot becomes files of this size

  // RocksDB begins no work behind the scenes that would leave less than this of the disk free; a
  // snapshot is staged as long as a quarter of this stays free. The node refuses growth below twice
  // this.
  std::uint64_t disk_kept_free_bytes = 64u << 20;

  // For tests only. Another file system beneath both instances; nullptr: the real one.
  rocksdb::Env* env = nullptr;
  // Called on a lane when a step of an installation is done. In their order: install noted, family
  // made, files moved, data flipped, old data dropped, log restarted.
  std::function<void(std::string_view step)> on_step;
  // The lanes have no threads: what each has to do is given to this, to be run later, on the loop,
  // each lane's in its order; what has not run when the store goes is dropped. Compactions are off.
  std::function<void(LaneName lane, std::function<void()> work)> run_lane;
  raft::NodeId first_self;  // of a new folder; 0: random
  // Made by open_rocks(); nullptr: RocksDB takes what it wants (room.h).
  std::shared_ptr<Room> room;
};

// Errc::busy: another process has the folder (names its pid). Errc::refused: written by a newer
// version. Errc::io: the system said no. Errc::corrupt: damage, which is named, never repaired.
Result<std::unique_ptr<Store>> open_rocks(RocksOptions options);

}  // namespace iris::store
