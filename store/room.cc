#include "store/room.h"

#include <rocksdb/env.h>
#include <rocksdb/sst_file_manager.h>
#include <rocksdb/write_buffer_manager.h>

#include <algorithm>

namespace iris::store {

namespace {

// RocksDB begins a compaction only where
//   its new bytes + those of others under way + buffer + all files <= allowed.
// It knows `allowed` as a fixed number; ours changes with what others do to the disk. So `allowed`
// is out of reach, and the buffer is what makes the rest of it equal to the room there is.
constexpr std::uint64_t allowed_bytes = std::uint64_t{1} << 62;
// The memtables' manager counts only where it has a limit; each database has its own, lower one.
constexpr std::size_t memtables_unlimited = std::size_t{1} << 62;

std::uint64_t less(std::uint64_t from, std::uint64_t what) { return from - std::min(from, what); }

}  // namespace

Room::Room(rocksdb::Env* env, std::uint64_t kept_free_bytes)
    : kept_free_bytes_(kept_free_bytes),
      files_(rocksdb::NewSstFileManager(env != nullptr ? env : rocksdb::Env::Default())),
      memtables_(std::make_shared<rocksdb::WriteBufferManager>(memtables_unlimited)) {
  files_->SetMaxAllowedSpaceUsage(allowed_bytes);
}

std::uint64_t Room::unwritten_bytes() const { return memtables_->memory_usage(); }

void Room::free_is(std::uint64_t free_bytes) {
  const std::uint64_t room = less(less(free_bytes, unwritten_bytes()), kept_free_bytes_);
  files_->SetCompactionBufferSize(less(less(allowed_bytes, files_->GetTotalSize()), room));
}

}  // namespace iris::store
