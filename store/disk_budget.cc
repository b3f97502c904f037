#include "store/disk_budget.h"

#include <rocksdb/env.h>
#include <rocksdb/sst_file_manager.h>
#include <rocksdb/write_buffer_manager.h>

#include <algorithm>

namespace iris::store {

namespace {

// RocksDB begins a compaction only where
//   its new bytes + those of others under way + buffer + all files <= allowed.
// It takes `allowed` for a constant, but the free disk changes with what other programs write. So
// `allowed` is set out of reach, and the buffer is set such that the rest equals the free disk.
constexpr std::uint64_t allowed_bytes = std::uint64_t{1} << 62;
// The manager of the memtables counts only where it has a limit. This one is never reached: each
// database has its own, lower limit.
constexpr std::size_t memtables_unlimited = std::size_t{1} << 62;

// In multiples of kept_free. A node refuses growth below 2 and takes it again above 2 1/8
// (src/node): compactions begin early well before that, and memtables are flushed up to the point
// where growth is taken again.
constexpr std::uint64_t compact_below = 4;
constexpr std::uint64_t flush_below_eighths = 18;

std::uint64_t minus(std::uint64_t from, std::uint64_t what) { return from - std::min(from, what); }

}  // namespace

DiskBudget::DiskBudget(rocksdb::Env* env, std::uint64_t kept_free, std::uint64_t level0)
    : kept_free_(kept_free),
      level0_(level0),
      file_manager_(rocksdb::NewSstFileManager(env != nullptr ? env : rocksdb::Env::Default())),
      buffer_manager_(std::make_shared<rocksdb::WriteBufferManager>(memtables_unlimited)) {
  file_manager_->SetMaxAllowedSpaceUsage(allowed_bytes);
}

std::uint64_t DiskBudget::memtable_bytes() const { return buffer_manager_->memory_usage(); }

void DiskBudget::set_compaction_bytes(Part part, std::uint64_t bytes) {
  compactions_.at(static_cast<std::size_t>(part)).bytes.store(bytes);
}

void DiskBudget::set_compaction_written(Part part, std::uint64_t bytes) {
  compactions_.at(static_cast<std::size_t>(part)).written.store(bytes);
}

std::uint64_t DiskBudget::available_bytes(std::uint64_t free) const {
  std::uint64_t available = minus(free, memtable_bytes());
  for (const Compaction& compaction : compactions_) {
    available = minus(available, minus(compaction.bytes.load(), compaction.written.load()));
  }
  return available;
}

void DiskBudget::update(std::uint64_t free) {
  const std::uint64_t for_compactions = minus(minus(free, memtable_bytes()), kept_free_);
  file_manager_->SetCompactionBufferSize(
      minus(minus(allowed_bytes, file_manager_->GetTotalSize()), for_compactions));
  // Without pressure, level 0 fills up again, which counts against the budget: the pressure ends
  // only where that would not bring it back at once.
  const std::uint64_t available = available_bytes(free);
  const std::uint64_t margin = pressure() == Pressure::none ? 0 : level0_;
  if (available < kept_free_ / 8 * flush_below_eighths) {
    pressure_.store(Pressure::flush);
  } else if (available < kept_free_ * compact_below + margin) {
    pressure_.store(Pressure::compact);
  } else {
    pressure_.store(Pressure::none);
  }
}

}  // namespace iris::store
