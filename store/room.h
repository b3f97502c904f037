// Room: what RocksDB will still want of the disk for what it was given already, so that growth is
// refused before the end and not after it (hazard 96). Memtables become files; a compaction writes
// its files before it deletes the old ones, and is put off where that would not fit.
// Any thread. Owns RocksDB's two counters, which both databases share.
#pragma once

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
  // Compactions leave `kept_free_bytes` of the disk.
  Room(rocksdb::Env* env, std::uint64_t kept_free_bytes);

  // In memory now, and in files some time.
  [[nodiscard]] std::uint64_t unwritten_bytes() const;
  // To be called often: so much of the disk is free now.
  void free_is(std::uint64_t free_bytes);

  [[nodiscard]] const std::shared_ptr<rocksdb::SstFileManager>& files() const { return files_; }
  [[nodiscard]] const std::shared_ptr<rocksdb::WriteBufferManager>& memtables() const {
    return memtables_;
  }

 private:
  const std::uint64_t kept_free_bytes_;
  const std::shared_ptr<rocksdb::SstFileManager> files_;
  const std::shared_ptr<rocksdb::WriteBufferManager> memtables_;
};

}  // namespace iris::store
