// DiskBudget: how much of the free disk may still be promised to new data, and how the databases
// have to react while that is little (hazard 96).
// RocksDB takes disk space after a write was accepted: a memtable becomes a file, and a compaction
// writes its new files before it deletes the old ones. Both are set aside here, so that growth is
// refused before the disk is full. A compaction that would not fit is put off. Removed rows leave
// the disk by compactions only, so compactions begin earlier while space is scarce.
// Any thread. All amounts are bytes. Owns RocksDB's two counters, which both databases share; they
// are read and set without a lock of ours.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>

namespace rocksdb {
class Env;
class SstFileManager;
class WriteBufferManager;
}  // namespace rocksdb

namespace iris::store {

class DiskBudget {
 public:
  enum class Part : std::uint8_t { log, data };
  // Each level includes the one before it.
  enum class Pressure : std::uint8_t {
    none,     // RocksDB compacts when it finds it worthwhile
    compact,  // every file on level 0 is compacted at once
    flush,    // memtables, which may hold removals, are flushed before they are full
  };

  // `kept_free`: compactions leave so much of the disk. `level0`: at most so much gathers on level
  // 0 of both databases while there is no pressure.
  DiskBudget(rocksdb::Env* env, std::uint64_t kept_free, std::uint64_t level0);

  // Of both databases: in memory now, in files later.
  [[nodiscard]] std::uint64_t memtable_bytes() const;
  // The estimate of the largest compaction that `part` may begin now, and how much the compaction
  // under way there has written. Called as files come and go.
  void set_compaction_bytes(Part part, std::uint64_t bytes);
  void set_compaction_written(Part part, std::uint64_t bytes);
  // What is left of `free` for new data.
  [[nodiscard]] std::uint64_t available_bytes(std::uint64_t free) const;
  // Takes a new measurement of the free disk: adjusts how large a compaction may be, and the
  // pressure. Called every 100 ms and after each batch of the data lane.
  void update(std::uint64_t free);
  // As of the last update().
  [[nodiscard]] Pressure pressure() const { return pressure_.load(); }

  [[nodiscard]] const std::shared_ptr<rocksdb::SstFileManager>& file_manager() const {
    return file_manager_;
  }
  [[nodiscard]] const std::shared_ptr<rocksdb::WriteBufferManager>& buffer_manager() const {
    return buffer_manager_;
  }

 private:
  struct Compaction {
    std::atomic<std::uint64_t> bytes{0};
    std::atomic<std::uint64_t> written{0};
  };

  const std::uint64_t kept_free_;
  const std::uint64_t level0_;
  const std::shared_ptr<rocksdb::SstFileManager> file_manager_;
  const std::shared_ptr<rocksdb::WriteBufferManager> buffer_manager_;
  std::array<Compaction, 2> compactions_ = {};  // by part
  std::atomic<Pressure> pressure_{Pressure::none};
};

}  // namespace iris::store
