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

// Room is hurried for while there is less than this many times what is kept free, and memory is
// flushed where a node refuses growth: below twice that, and an eighth more until it takes it
// again.
constexpr std::uint64_t hurry_below = 4;
constexpr std::uint64_t flush_below_eighths = 18;

std::uint64_t less(std::uint64_t from, std::uint64_t what) { return from - std::min(from, what); }

}  // namespace

Room::Room(rocksdb::Env* env, std::uint64_t kept_free_bytes, std::uint64_t level0_bytes)
    : kept_free_bytes_(kept_free_bytes),
      level0_bytes_(level0_bytes),
      files_(rocksdb::NewSstFileManager(env != nullptr ? env : rocksdb::Env::Default())),
      memtables_(std::make_shared<rocksdb::WriteBufferManager>(memtables_unlimited)) {
  files_->SetMaxAllowedSpaceUsage(allowed_bytes);
}

std::uint64_t Room::unwritten_bytes() const { return memtables_->memory_usage(); }

void Room::compaction_takes(Part part, std::uint64_t bytes) {
  compactions_.at(static_cast<std::size_t>(part)).bytes.store(bytes);
}

void Room::compaction_wrote(Part part, std::uint64_t bytes) {
  compactions_.at(static_cast<std::size_t>(part)).written.store(bytes);
}

std::uint64_t Room::left_bytes(std::uint64_t free_bytes) const {
  std::uint64_t left = less(free_bytes, unwritten_bytes());
  for (const Compaction& compaction : compactions_) {
    left = less(left, less(compaction.bytes.load(), compaction.written.load()));
  }
  return left;
}

void Room::free_is(std::uint64_t free_bytes) {
  const std::uint64_t room = less(less(free_bytes, unwritten_bytes()), kept_free_bytes_);
  files_->SetCompactionBufferSize(less(less(allowed_bytes, files_->GetTotalSize()), room));
  // What gathers on level 0 without pressure counts against the room: it ends only where that
  // would not bring it back at once.
  const std::uint64_t left = left_bytes(free_bytes);
  const std::uint64_t ends_above = pressure() == Pressure::none ? 0 : level0_bytes_;
  if (left < kept_free_bytes_ / 8 * flush_below_eighths) {
    pressure_.store(Pressure::flush);
  } else if (left < kept_free_bytes_ * hurry_below + ends_above) {
    pressure_.store(Pressure::hurry);
  } else {
    pressure_.store(Pressure::none);
  }
}

}  // namespace iris::store
