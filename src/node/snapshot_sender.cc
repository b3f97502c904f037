#include "src/node/snapshot_sender.h"

#include <algorithm>
#include <utility>

#include "src/base/log.h"

namespace iris {

namespace {

constexpr std::uint32_t doublings_max = 16;  // of the pause after a refusal; no shift overflows

}  // namespace

void SnapshotSender::wanted(raft::NodeId to) {
  if (host_.stopped || transfers_.contains(to)) return;
  if (std::find(waiting_.begin(), waiting_.end(), to) != waiting_.end()) return;
  waiting_.push_back(to);
  start_waiting();
}

// A transfer that failed only waits, and takes no place.
bool SnapshotSender::full() const {
  const auto failed = std::count_if(transfers_.begin(), transfers_.end(),
                                    [](const auto& transfer) { return transfer.second.failed; });
  return transfers_.size() - static_cast<std::size_t>(failed) >= transfers_max;
}

void SnapshotSender::start_waiting() {
  while (!waiting_.empty() && !full()) {
    const raft::NodeId next = waiting_.front();
    waiting_.erase(waiting_.begin());
    start(next);
  }
}

void SnapshotSender::start(raft::NodeId to) {
  Transfer transfer;
  transfer.id = host_.id_base() + ++started_;
  transfer.source = host_.store.pin();
  transfer.mark = transfer.source->mark();
  transfer.progress_at = transfer.sent_at = host_.now;
  log(LogLevel::info, "sending a snapshot",
      {{"to", hex_id(to.value)}, {"index", transfer.mark.last.index.value}});
  pump(to, transfers_.emplace(to, std::move(transfer)).first->second);
}

// Reads ahead as far as the window, the connection's queue and the rate allow. One read at a time.
void SnapshotSender::pump(raft::NodeId to, Transfer& transfer) {
  if (transfer.reading || transfer.at_end || transfer.failed || allowance_bytes_ <= 0) return;
  const NodeOptions& options = host_.options;
  if (transfer.unacknowledged_bytes + options.snapshot_chunk_bytes >
      std::max(options.snapshot_window_bytes, options.snapshot_chunk_bytes)) {
    return;
  }
  // Bytes in the connection's queue already delay heartbeats (hazard 113); tick() comes again.
  if (host_.transport.queued_bytes(to) >= options.snapshot_window_bytes) return;
  transfer.reading = true;
  allowance_bytes_ -= static_cast<std::int64_t>(options.snapshot_chunk_bytes);
  transfer.source->read(
      options.snapshot_chunk_bytes,
      [this, to, id = transfer.id, gone = host_.guard()](Result<std::string> bytes) {
        if (!gone.expired()) chunk_read(to, id, std::move(bytes));
      });
}

void SnapshotSender::chunk_read(raft::NodeId to, std::uint64_t id, Result<std::string> bytes) {
  const auto found = transfers_.find(to);
  if (found == transfers_.end() || found->second.id != id) return;
  Transfer& transfer = found->second;
  transfer.reading = false;
  if (transfer.failed) return;
  if (!bytes) {
    fail_transfer(to, transfer, bytes.error().text);
    return;
  }
  SnapshotChunk chunk{transfer.id, transfer.mark, transfer.read, std::move(*bytes), false};
  chunk.last = chunk.bytes.empty();
  transfer.at_end = chunk.last;
  transfer.read += chunk.bytes.size();
  transfer.unacknowledged_bytes += chunk.bytes.size();
  transfer.sent_at = host_.now;
  transfer.unacknowledged.push_back(chunk);
  host_.transport.send(to, std::move(chunk));
  pump(to, transfer);
}

void SnapshotSender::acknowledged(raft::NodeId from, const SnapshotAck& ack) {
  const auto found = transfers_.find(from);
  if (found == transfers_.end() || found->second.id != ack.transfer) return;
  Transfer& transfer = found->second;
  if (transfer.failed) return;
  if (ack.done) {
    end(from, true);
    return;
  }
  if (ack.refused) {
    refused(from, transfer, ack.text);
    return;
  }
  if (transfer.at_end && ack.offset == transfer.read) {
    transfer.progress_at =
        host_.now;  // all is staged: it is being checked, or waits for its install
  }
  if (ack.offset <= transfer.acknowledged || ack.offset > transfer.read) return;
  transfer.acknowledged = ack.offset;
  transfer.progress_at = transfer.sent_at = host_.now;
  while (!transfer.unacknowledged.empty()) {
    const SnapshotChunk& chunk = transfer.unacknowledged.front();
    if (chunk.last || chunk.offset + chunk.bytes.size() > ack.offset) break;
    transfer.unacknowledged_bytes -= chunk.bytes.size();
    transfer.unacknowledged.pop_front();
  }
  pump(from, transfer);
}

void SnapshotSender::tick() {
  host_.refill(allowance_bytes_, host_.options.snapshot_bytes_per_second);
  std::vector<raft::NodeId> over;
  for (auto& [to, transfer] : transfers_) {
    if (transfer.failed) {
      if (!host_.transport.connected(to)) {  // a receiver that comes back may have space
        transfer.over_at = std::min(transfer.over_at, host_.now + host_.retry_ticks());
      }
      if (host_.now >= transfer.over_at) over.push_back(to);
    } else if (host_.now - transfer.progress_at >= host_.give_up_ticks()) {
      fail_transfer(to, transfer, "no progress");
    } else if (!transfer.unacknowledged.empty() &&
               host_.now - transfer.sent_at >= host_.election_ticks()) {
      // The chunks may be lost with a connection: all unacknowledged ones are sent again, in order.
      transfer.sent_at = host_.now;
      allowance_bytes_ -= static_cast<std::int64_t>(transfer.unacknowledged_bytes);
      for (const SnapshotChunk& chunk : transfer.unacknowledged) host_.transport.send(to, chunk);
    } else {
      pump(to, transfer);
    }
  }
  for (const raft::NodeId to : over) end(to, false);
  std::erase_if(refusals_, [this](const auto& by) { return !host_.transport.connected(by.first); });
  start_waiting();
}

// The next transfer may be refused for the same reason, such as a full disk: so it comes later each
// time.
void SnapshotSender::refused(raft::NodeId by, Transfer& transfer, const std::string& reason) {
  const std::uint32_t before = refusals_[by]++;
  fail_transfer(by, transfer, reason);
  const std::uint64_t wait = host_.retry_ticks() << std::min(before, doublings_max);
  transfer.over_at = host_.now + std::min(wait, host_.give_up_ticks());
}

void SnapshotSender::fail_transfer(raft::NodeId to, Transfer& transfer, const std::string& reason) {
  log(LogLevel::warn, "a snapshot transfer failed and will begin again",
      {{"to", hex_id(to.value)}, {"reason", reason}});
  transfer.failed = true;
  transfer.source.reset();
  transfer.over_at = host_.now + host_.retry_ticks();
  transfer.unacknowledged.clear();
  transfer.unacknowledged_bytes = 0;
}

void SnapshotSender::end(raft::NodeId to, bool ok) {
  const auto found = transfers_.find(to);
  const raft::EntryId last = found->second.mark.last;
  const bool maybe_installed = ok || found->second.all_acknowledged();
  transfers_.erase(found);
  if (ok) {
    refusals_.erase(to);
    log(LogLevel::info, "a snapshot was installed", {{"at", hex_id(to.value)}});
  }
  host_.core->snapshot_sent(to, maybe_installed, last);
  host_.touch();
  start_waiting();
}

void SnapshotSender::role_changed() {
  if (!host_.leads()) stop();
}

void SnapshotSender::stop() {
  transfers_.clear();
  waiting_.clear();
  refusals_.clear();
}

std::optional<raft::Index> SnapshotSender::oldest() const {
  std::optional<raft::Index> index;
  for (const auto& [to, transfer] : transfers_) {
    if (transfer.failed) continue;
    if (!index || transfer.mark.last.index < *index) index = transfer.mark.last.index;
  }
  return index;
}

}  // namespace iris
