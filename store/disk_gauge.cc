#include "store/disk_gauge.h"

#include <sys/stat.h>
#include <sys/statvfs.h>

#include <filesystem>
#include <system_error>

namespace iris::store {

namespace {

constexpr std::uint64_t block_bytes = 512;  // the unit of st_blocks, by POSIX

std::int64_t now_ms() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
}

}  // namespace

void DiskGauge::refresh() {
  std::int64_t looked = looked_ms_.load();
  if (now_ms() - looked < interval.count()) return;
  if (looked_ms_.compare_exchange_strong(looked, now_ms())) measure();
}

// Files come and go while it walks: what is not there any more counts for nothing.
void DiskGauge::measure() {
  std::uint64_t used = 0;
  std::error_code error;
  std::filesystem::recursive_directory_iterator at(path_, error);
  while (!error && at != std::filesystem::recursive_directory_iterator()) {
    struct stat found = {};
    if (::lstat(at->path().c_str(), &found) == 0) {
      used += static_cast<std::uint64_t>(found.st_blocks) * block_bytes;
    }
    at.increment(error);
  }
  used_bytes_.store(used);
  looked_ms_.store(now_ms());
}

DiskUse DiskGauge::use() const {
  DiskUse use;
  use.used_bytes = used_bytes_.load();
  struct statvfs file_system = {};
  if (::statvfs(path_.c_str(), &file_system) == 0) {
    use.free_bytes = std::uint64_t{file_system.f_bavail} * file_system.f_frsize;
  }
  return use;
}

}  // namespace iris::store
