// DiskGauge: measures how much of the disk the raft folder uses and how much of its file system is
// free.
// Any thread; only used_bytes() does not wait for the disk. Owns the last measurement of the
// folder. A measurement that fails counts as 0 free bytes, or leaves out the file.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <string>
#include <utility>

namespace iris::store {

class DiskGauge {
 public:
  static constexpr std::chrono::milliseconds interval{1000};

  explicit DiskGauge(std::string path) : path_(std::move(path)) { measure(); }

  // Walks the folder if the last walk is older than `interval`. Called by the lane that writes
  // there, as only its writes change the result.
  void refresh();
  // Allocated to the files of the folder, as of the last walk.
  [[nodiscard]] std::uint64_t used_bytes() const { return used_bytes_.load(); }
  // Asks the file system. Space that only root may use does not count.
  [[nodiscard]] std::uint64_t free_bytes() const;

 private:
  void measure();

  const std::string path_;
  std::atomic<std::uint64_t> used_bytes_{0};
  std::atomic<std::int64_t> measured_ms_{0};
};

}  // namespace iris::store
