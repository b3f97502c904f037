#include "src/node/disk_watch.h"

#include "src/base/log.h"

namespace iris {
namespace {

constexpr std::uint64_t check_ms = 100;  // a fast disk takes some ten megabytes in this time
// So long must enough be free before growth goes on: files that are being written take their space
// before those that they replace give theirs back.
constexpr std::uint64_t enough_ms = 1000;
// And more than the reserve must be free then, by this part of it: bytes in memory are estimated to
// take more of the disk than they do in the end. Without a margin in bytes and in time, growth
// would be refused and taken by turns.
constexpr std::uint64_t margin_part = 8;

}  // namespace

void DiskWatch::tick() {
  const std::uint64_t check_ticks = host_.ticks(check_ms);
  if (host_.now % check_ticks == 1 % check_ticks) host_.store.check_disk();
  if (host_.now % check_ticks == 2 % check_ticks) look();  // it is usually done by then
}

void DiskWatch::look() {
  const std::uint64_t reserve = host_.options.disk_reserve_bytes;
  const std::uint64_t wanted = host_.disk_low ? reserve + reserve / margin_part : reserve;
  if (host_.store.disk_use().free_bytes < wanted) enough_from_ = host_.now + host_.ticks(enough_ms);
  const bool low = host_.now < enough_from_;
  if (low != host_.disk_low) {
    log(low ? LogLevel::warn : LogLevel::info,
        low ? "the disk is nearly full: growth is refused" : "the disk has room again",
        {{"reserve_bytes", reserve}});
  }
  host_.disk_low = low;
}

}  // namespace iris
