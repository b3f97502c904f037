// Room: what RocksDB will still want of the disk for what it was given already, so that growth is
// refused before the end and not after it (hazard 96). Memtables become files, and a compaction
// writes its files before it deletes the old ones: both are set aside. A compaction that does not
// fit all the same is put off. What was removed leaves the disk only by compactions, so they are
// hurried before room is scarce.
// Any thread. Owns RocksDB's two counters, which both databases share.
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

class Room {
 public:
  enum class Part : std::uint8_t { log, data };
  // `hurry`: compactions do not wait for company. `flush`: and what is in memory, which may be
  // removals, does not wait until there is more of it.
  enum class Pressure : std::uint8_t { none, hurry, flush };

  // Compactions leave `kept_free_bytes` of the disk. `level0_bytes` is what may gather on level 0
  // of both parts while there is no pressure.
  Room(rocksdb::Env* env, std::uint64_t kept_free_bytes, std::uint64_t level0_bytes);

  // In memory now, and in files some time.
  [[nodiscard]] std::uint64_t unwritten_bytes() const;
  // The largest compaction that `part` may want now has so many bytes to write again; the one that
  // is under way there has written so many of them.
  void compaction_takes(Part part, std::uint64_t bytes);
  void compaction_wrote(Part part, std::uint64_t bytes);
  // Of so much free space, what is there for anything new.
  [[nodiscard]] std::uint64_t left_bytes(std::uint64_t free_bytes) const;
  // To be called often: so much of the disk is free now.
  void free_is(std::uint64_t free_bytes);
  // As of the last free_is().
  [[nodiscard]] Pressure pressure() const { return pressure_.load(); }

  [[nodiscard]] const std::shared_ptr<rocksdb::SstFileManager>& files() const { return files_; }
  [[nodiscard]] const std::shared_ptr<rocksdb::WriteBufferManager>& memtables() const {
    return memtables_;
  }

 private:
  const std::uint64_t kept_free_bytes_;
  const std::uint64_t level0_bytes_;
  const std::shared_ptr<rocksdb::SstFileManager> files_;
  const std::shared_ptr<rocksdb::WriteBufferManager> memtables_;
  struct Compaction {
    std::atomic<std::uint64_t> bytes{0};
    std::atomic<std::uint64_t> written{0};
  };
  std::array<Compaction, 2> compactions_ = {};  // by part
  std::atomic<Pressure> pressure_{Pressure::none};
};

}  // namespace iris::store
