#include "store/high_water_mark.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <optional>
#include <string_view>

#include "raft/check.h"
#include "src/base/disk_wait.h"
#include "store/codec.h"

namespace iris::store {

namespace {

constexpr std::string_view slot_name = "log.mark";
constexpr std::size_t slot_stride_bytes = 512;
constexpr std::size_t slots = 2;
constexpr std::size_t slot_bytes = 12;

std::optional<std::uint64_t> read_slot(std::string_view file, std::size_t slot) {
  const std::size_t offset = slot * slot_stride_bytes;
  if (file.size() < offset + slot_bytes) return std::nullopt;
  std::string_view body;
  if (!unseal(slot_name, file.substr(offset, slot_bytes), body)) return std::nullopt;
  return Reader(body).u64();
}

std::string slot_of(std::uint64_t batch) {
  std::string body;
  put_u64(body, batch);
  return seal(slot_name, body);
}

}  // namespace

Status HighWaterMark::create(const std::string& path, std::uint64_t batch) {
  std::string bytes(slots * slot_stride_bytes, '\0');
  const std::string slot = slot_of(batch);
  for (std::size_t i = 0; i < slots; ++i) bytes.replace(i * slot_stride_bytes, slot.size(), slot);
  return replace_file(path, bytes);
}

Result<HighWaterMark> HighWaterMark::open(const std::string& path) {
  const Result<std::string> bytes = read_small_file(path, slots * slot_stride_bytes);
  if (!bytes) return unexpected(bytes.error());
  const std::optional<std::uint64_t> first = read_slot(*bytes, 0);
  const std::optional<std::uint64_t> second = read_slot(*bytes, 1);
  if (!first && !second) {
    return fail(Errc::corrupt, path + " is damaged: how far the log was synced cannot be told");
  }
  Descriptor file(::open(path.c_str(), O_WRONLY | O_NOFOLLOW | O_CLOEXEC));
  if (!file.open()) return errno_failure("open", path);
  return HighWaterMark(path, std::move(file), std::max(first.value_or(0), second.value_or(0)));
}

Status HighWaterMark::note(std::uint64_t batch) {
  CHECK(batch > batch_);
  batch_ = batch;
  const std::size_t slot = batch % slots;
  if (Status written = write_at(file_, path_, slot_of(batch), slot * slot_stride_bytes); !written) {
    return written;
  }
  return std::chrono::steady_clock::now() - synced_ < sync_interval ? Status(Unit{}) : sync();
}

Status HighWaterMark::sync() {
  may_wait_for_disk();
  if (::fdatasync(file_.number()) != 0) return errno_failure("sync", path_);
  synced_ = std::chrono::steady_clock::now();
  return Unit{};
}

}  // namespace iris::store
