// DiskGauge: how much the raft folder uses, looked up now and then by whoever writes there, and how
// much of its file system is free. Any thread. Owns one number and when it was looked up.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <string>
#include <utility>

#include "store/store.h"

namespace iris::store {

class DiskGauge {
 public:
  static constexpr std::chrono::milliseconds interval{1000};

  explicit DiskGauge(std::string path) : path_(std::move(path)) { measure(); }

  // Looks again where the last look is older than `interval`; walks the folder then.
  void refresh();
  // Free bytes are of now, for whoever is not root.
  [[nodiscard]] DiskUse use() const;

 private:
  void measure();

  const std::string path_;
  std::atomic<std::uint64_t> used_bytes_{0};
  std::atomic<std::int64_t> looked_ms_{0};
};

}  // namespace iris::store
