#include "store/disk_gauge.h"

#include <sys/stat.h>
#include <sys/statvfs.h>

#include <filesystem>
#include <system_error>

#include "src/base/disk_wait.h"

namespace iris::store {

namespace {

constexpr std::uint64_t block_bytes = 512;  // the unit of st_blocks, by POSIX

std::int64_t now_ms() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
}

}  // namespace

void DiskGauge::refresh() {
  std::int64_t measured = measured_ms_.load();
  if (now_ms() - measured < interval.count()) return;
  if (measured_ms_.compare_exchange_strong(measured, now_ms())) measure();
}

// Files come and go meanwhile: one that is gone before it is looked at counts as nothing.
void DiskGauge::measure() {
  may_wait_for_disk();
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
  measured_ms_.store(now_ms());
}

std::uint64_t DiskGauge::free_bytes() const {
  may_wait_for_disk();
  struct statvfs file_system = {};
  if (::statvfs(path_.c_str(), &file_system) != 0) return 0;
  return std::uint64_t{file_system.f_bavail} * file_system.f_frsize;
}

}  // namespace iris::store
