#include "src/node/trimmer.h"

#include <algorithm>
#include <vector>

namespace iris {
namespace {

// A trim goes to three quarters of the limit, so that the next one is some way off.
constexpr std::size_t keep_quarters = 3;
// A check is due after a sixteenth of the limit was written.
constexpr std::size_t checks_per_limit = 16;

// --- Multiples of its limits that the log may have while it is needed.
constexpr std::size_t limits_for_followers = 2;
// More for a follower that is being sent a snapshot or has just got one: were the log trimmed past
// it before it has caught up, the whole transfer would have been for nothing, and the next one as
// well (hazard 66).
constexpr std::size_t limits_for_snapshots = 8;
// And for a stream that is sent a state, for the same reason.
constexpr std::size_t limits_for_streams = 4;

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
  if (host_.now % host_.retry_ticks() == 0) check();
}

void Trimmer::check() {
  written_bytes_ = 0;
  written_entries_ = 0;
  if (trimming_ || host_.stopped || !host_.core) return;
  if (receiver_.ready() || receiver_.installing()) return;  // the whole log is about to be replaced
  const raft::Index floor = allowed_floor(wanted_floor());
  if (floor > host_.floor) trim(floor);
}

std::uint64_t Trimmer::log_entries() const {
  return host_.core->last_index().value - host_.floor.value;
}

bool Trimmer::longer_than(std::size_t limits) const {
  return host_.core->log_bytes() > limits * host_.options.log_bytes_max ||
         log_entries() > limits * host_.options.log_entries_max;
}

// How far the log must be cut to keep within its limits, as far as it is applied; the present floor
// if it keeps within them. A node whose disk is nearly full wants none of it: the log is what it
// can give back by itself, and rows of a removed source are deleted only once the log has lost
// their removal (listeners/tombstone_purge.h).
raft::Index Trimmer::wanted_floor() const {
  const NodeOptions& options = host_.options;
  if (host_.disk_low) return host_.applied;
  raft::Index floor = host_.floor;
  if (!longer_than(1)) return floor;
  std::uint64_t entries = log_entries();
  std::size_t bytes = host_.core->log_bytes();
  const std::size_t bytes_kept = options.log_bytes_max / 4 * keep_quarters;
  const std::uint64_t entries_kept = options.log_entries_max / 4 * keep_quarters;
  while ((bytes > bytes_kept || entries > entries_kept) && floor < host_.applied) {
    floor = floor.next();
    bytes -= raft::entry_bytes(*host_.core->entry(floor));
    --entries;
  }
  return floor;
}

// `wanted`, or the earlier entry after which the log is still needed.
raft::Index Trimmer::allowed_floor(raft::Index wanted) {
  raft::Index floor = wanted;
  const std::vector<raft::PeerStatus> peers = host_.core->peers();
  std::erase_if(catching_up_, [&peers](raft::NodeId id) {
    return std::none_of(peers.begin(), peers.end(),
                        [id](const raft::PeerStatus& peer) { return peer.id == id; });
  });
  for (const raft::PeerStatus& peer : peers) {
    floor = std::min(floor, needed_by(peer, wanted).value_or(floor));
  }
  const std::optional<raft::Index> sending = sender_.oldest();
  if (sending && !longer_than(limits_for_snapshots)) floor = std::min(floor, *sending);
  if (host_.hooks.log_kept && !longer_than(limits_for_streams)) {
    floor = std::min(floor, host_.hooks.log_kept().value_or(floor));
  }
  return floor;
}

// The entry after which a follower needs the log, if the log may be kept for it.
std::optional<raft::Index> Trimmer::needed_by(const raft::PeerStatus& peer, raft::Index wanted) {
  if (peer.snapshot) {  // a snapshot on its way keeps the log by SnapshotSender::oldest()
    if (peer.active) catching_up_.insert(peer.id);
    return std::nullopt;
  }
  const bool catching_up = catching_up_.contains(peer.id);
  // Just after a snapshot it has not acknowledged it yet.
  const raft::Index has =
      catching_up && peer.match < host_.floor ? raft::Index{peer.next.value - 1} : peer.match;
  if (!peer.active || has >= wanted) catching_up_.erase(peer.id);
  // A follower below the floor needs a snapshot anyway; a silent one may never come back.
  if (!peer.active || has < host_.floor) return std::nullopt;
  if (longer_than(catching_up ? limits_for_snapshots : limits_for_followers)) return std::nullopt;
  return has;
}

void Trimmer::trim(raft::Index floor) {
  trimming_ = true;
  host_.store.trim(host_.core->snapshot_metadata_at(floor), [this, floor, gone = host_.guard()] {
    if (gone.expired()) return;
    trimming_ = false;
    host_.core->trim(floor);
    host_.floor = floor;
    if (host_.hooks.on_trimmed) host_.hooks.on_trimmed(floor);
    host_.touch();
  });
}

}  // namespace iris
