// HighWaterMark: the number of the last synced log batch, kept outside the log, so that a log that
// has lost synced records at its end is noticed (hazard 97): RocksDB takes the missing end for a
// write that was never finished.
// Log lane; create() and open() run before it. Owns the file log.mark: two slots 512 bytes apart,
// written in turn, so that a torn write spoils one slot at most.
//
//   slot   sealed   u64 batch
//
// The mark is written after each sync of the log, and synced itself at most once in sync_interval.
// So it is exact after the process was killed. After a power cut it may be older by sync_interval,
// and only a loss of batches within that time would pass unnoticed.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "raft/result.h"
#include "store/files.h"

namespace iris::store {

class HighWaterMark {
 public:
  static constexpr std::chrono::milliseconds sync_interval{1000};

  // Makes the file at `path`, durably.
  static Status create(const std::string& path, std::uint64_t batch);
  // Errc::corrupt: both slots are damaged. Errc::io.
  static Result<HighWaterMark> open(const std::string& path);

  [[nodiscard]] std::uint64_t batch() const { return batch_; }
  // Errc::io. REQUIRES: batch > batch().
  Status note(std::uint64_t batch);
  Status sync();

 private:
  HighWaterMark(std::string path, Descriptor file, std::uint64_t batch)
      : path_(std::move(path)), file_(std::move(file)), batch_(batch) {}

  std::string path_;
  Descriptor file_;
  std::uint64_t batch_;
  std::chrono::steady_clock::time_point synced_ = std::chrono::steady_clock::now();
};

}  // namespace iris::store
