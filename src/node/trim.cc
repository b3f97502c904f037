#include "src/node/trim.h"

#include <algorithm>

#include "src/base/log.h"

namespace iris {
namespace {

// A trim goes to three quarters of the limit, so that the next one is some way off.
constexpr std::size_t keep_quarters = 3;
// A look at the log is due after a sixteenth of the limit was written.
constexpr std::size_t checks_per_limit = 16;
// A fast disk takes some ten megabytes in this time.
constexpr std::uint64_t disk_check_ms = 100;
// Files that are being written take their room before what they replace gives it back.
constexpr std::uint64_t disk_room_ms = 1000;
// How many times its limit the log may have while somebody who gets on still needs it.
constexpr std::size_t held_for_laggards = 2;
// More for one that is being sent a snapshot, or has just got one: if the log were trimmed past it
// before it has caught up, the whole transfer would have been for nothing, and the next one as well
// (hazard 66).
constexpr std::size_t held_for_the_fed = 8;
// And for a stream that is told a state, for the same reason.
constexpr std::size_t held_for_streams = 4;

}  // namespace

void Trimmer::written(const raft::LogWrite& write) {
  for (const raft::EntryPtr& entry : write.entries) written_bytes_ += raft::entry_bytes(*entry);
  written_entries_ += write.entries.size();
}

void Trimmer::check_if_due() {
  if (written_bytes_ >= host_.options.log_bytes_max / checks_per_limit ||
      written_entries_ >= host_.options.log_entries_max / checks_per_limit) {
    check();
  }
}

void Trimmer::tick() {
  const std::uint64_t disk_ticks =
      std::max<std::uint64_t>(1, disk_check_ms / host_.options.tick_ms);
  const std::uint64_t room_ticks = std::max<std::uint64_t>(1, disk_room_ms / host_.options.tick_ms);
  if (host_.now % disk_ticks == 1 % disk_ticks) {
    // What waits in memory is reckoned to take more than it does in the end: without a margin, in
    // bytes and in time, growth would be refused and taken by turns.
    host_.store.check_disk();
    const std::uint64_t reserve = host_.options.disk_reserve_bytes;
    const std::uint64_t wanted = host_.disk_low ? reserve + reserve / 8 : reserve;
    if (host_.store.disk_use().free_bytes < wanted) room_from_ = host_.now + room_ticks;
    const bool low = host_.now < room_from_;
    if (low != host_.disk_low) {
      log(low ? LogLevel::warn : LogLevel::info,
          low ? "the disk is nearly full: growth is refused" : "the disk has room again",
          {{"reserve_bytes", reserve}});
    }
    host_.disk_low = low;
  }
  if (host_.now % host_.retry_ticks() == 0) check();
}

void Trimmer::check() {
  written_bytes_ = 0;
  written_entries_ = 0;
  if (trimming_ || held_ || host_.stopped || !host_.core) return;
  const raft::CoreStatus status = host_.core->status();
  const raft::Index floor = held_back(status, wanted_floor(status));
  if (floor > host_.floor) trim(floor);
}

// How far the log must be cut to keep within its limits, as far as it is applied; the present floor
// if it keeps within them.
raft::Index Trimmer::wanted_floor(const raft::CoreStatus& status) const {
  const NodeOptions& options = host_.options;
  std::uint64_t entries = status.last.value + 1 - status.first.value;
  std::size_t bytes = status.log_bytes;
  raft::Index floor = host_.floor;
  if (bytes <= options.log_bytes_max && entries <= options.log_entries_max) return floor;
  const std::size_t bytes_kept = options.log_bytes_max / 4 * keep_quarters;
  const std::uint64_t entries_kept = options.log_entries_max / 4 * keep_quarters;
  while ((bytes > bytes_kept || entries > entries_kept) && floor < host_.applied) {
    floor = floor.next();
    bytes -= raft::entry_bytes(*host_.core->entry(floor));
    --entries;
  }
  return floor;
}

bool Trimmer::longer_than(std::size_t limits, const raft::CoreStatus& status) const {
  const std::uint64_t entries = status.last.value + 1 - status.first.value;
  return status.log_bytes > limits * host_.options.log_bytes_max ||
         entries > limits * host_.options.log_entries_max;
}

raft::Index Trimmer::held_back(const raft::CoreStatus& status, raft::Index wanted) {
  raft::Index floor = wanted;
  std::erase_if(fed_, [&status](raft::NodeId id) {
    return std::none_of(status.peers.begin(), status.peers.end(),
                        [id](const raft::PeerStatus& peer) { return peer.id == id; });
  });
  for (const raft::PeerStatus& peer : status.peers) {
    if (peer.snapshot) {
      if (peer.active) fed_.insert(peer.id);
      continue;  // what is on its way counts below
    }
    const bool fed = fed_.contains(peer.id);
    // Just after a snapshot it has not yet said what it has.
    const raft::Index has =
        fed && peer.match < host_.floor ? raft::Index{peer.next.value - 1} : peer.match;
    if (!peer.active || has >= wanted) fed_.erase(peer.id);
    // One below the floor already needs a snapshot; one that is silent may stay so.
    const std::size_t limits = fed ? held_for_the_fed : held_for_laggards;
    if (peer.active && has >= host_.floor && !longer_than(limits, status)) {
      floor = std::min(floor, has);
    }
  }
  const std::optional<raft::Index> sending = sender_.oldest();
  if (sending && !longer_than(held_for_the_fed, status)) floor = std::min(floor, *sending);
  if (host_.hooks.log_kept && !longer_than(held_for_streams, status)) {
    floor = std::min(floor, host_.hooks.log_kept().value_or(floor));
  }
  return floor;
}

void Trimmer::trim(raft::Index floor) {
  trimming_ = true;
  host_.store.trim(host_.core->mark_at(floor), [this, floor, gone = host_.guard()] {
    if (gone.expired()) return;
    trimming_ = false;
    host_.core->trim(floor);
    host_.floor = floor;
    if (host_.hooks.on_trimmed) host_.hooks.on_trimmed(floor);
    host_.touch();
  });
}

}  // namespace iris
