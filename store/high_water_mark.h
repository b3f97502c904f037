// High water: which synced log batch was the last, noted outside the log, so that a log that lost
// synced records at its end is noticed (hazard 97). RocksDB takes a cut-off tail for a torn one.
// Log lane only. Owns log.mark: two slots 512 bytes apart, written in turn, so that a torn write
// spoils one at most.
//
//   slot   sealed   u64 batch
//
// The note follows every sync and is itself synced at most once in sync_interval_ms. So a process
// that was killed never forgets one; after a power cut what was synced in the last interval before
// it may be missing from the note, and only a loss within that stretch would pass unnoticed.
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

  // A new file that notes `batch`, durably (as far as the file goes: sync the folder too).
  static Status create(const std::string& path, std::uint64_t batch);
  // Errc::corrupt where neither slot can be read.
  static Result<HighWaterMark> open(const std::string& path);

  [[nodiscard]] std::uint64_t batch() const { return batch_; }
  // REQUIRES: batch > batch().
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
