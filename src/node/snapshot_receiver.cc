#include "src/node/snapshot_receiver.h"

#include <utility>

#include "raft/members.h"
#include "src/base/log.h"

namespace iris {

void SnapshotReceiver::chunk(raft::NodeId from, SnapshotChunk chunk) {
  if (host_.stopped || from != host_.core->leader()) return;  // the leader sends its own
  if (chunk.transfer == finished_transfer_) {                 // the acknowledgement was lost
    host_.transport.send(from, SnapshotAck{chunk.transfer, chunk.offset, true, false, {}});
    return;
  }
  if (phase_ == Phase::staged || phase_ == Phase::installing) {
    if (chunk.transfer == transfer_) acknowledge(false);
    return;  // the present transfer is over soon
  }
  if (phase_ == Phase::idle || chunk.transfer != transfer_) {
    if (chunk.offset != 0) {
      refuse(from, chunk.transfer, "the receiver knows nothing of this transfer");
      return;
    }
    if (!is_known(from, chunk)) return;
    begin(from, chunk);
  }
  heard_at_ = host_.now;
  if (phase_ == Phase::checking || chunk.offset != taken_) {
    acknowledge(false);  // a repetition, or an earlier chunk is missing
    return;
  }
  take(std::move(chunk));
}

// A member's snapshot of a newer level ends this node: no other could be taken instead. The word of
// a node that is no member here ends nobody (hazard 123).
bool SnapshotReceiver::is_known(raft::NodeId from, const SnapshotChunk& chunk) {
  const Status known = check_level(chunk.mark.members.level, host_.options.level);
  if (known) return true;
  refuse(from, chunk.transfer, known.error().text);
  if (raft::is_member(host_.core->members(), from)) fail_(known.error());
  return false;
}

void SnapshotReceiver::begin(raft::NodeId from, const SnapshotChunk& chunk) {
  drop();
  log(LogLevel::info, "receiving a snapshot",
      {{"from", hex_id(from.value)}, {"index", chunk.mark.last.index.value}});
  phase_ = Phase::receiving;
  from_ = from;
  transfer_ = chunk.transfer;
  mark_ = chunk.mark;
  taken_ = staged_ = 0;
  host_.store.import_begin(mark_);
}

void SnapshotReceiver::take(SnapshotChunk chunk) {
  const std::size_t bytes = chunk.bytes.size();
  taken_ += bytes;
  if (bytes > 0) {
    host_.store.import_chunk(std::move(chunk.bytes), [this, id = transfer_, bytes,
                                                      gone = host_.guard()](const Status& status) {
      if (!gone.expired()) chunk_staged(id, bytes, status);
    });
  }
  if (!chunk.last) return;
  phase_ = Phase::checking;
  host_.store.import_finish([this, id = transfer_, gone = host_.guard()](const Status& status) {
    if (!gone.expired()) checked(id, status);
  });
}

void SnapshotReceiver::chunk_staged(std::uint64_t transfer, std::size_t bytes,
                                    const Status& status) {
  if (phase_ == Phase::idle || transfer != transfer_) return;
  if (!status) {
    refuse(from_, transfer_, status.error().text);
    drop();
    return;
  }
  staged_ += bytes;
  acknowledge(false);
}

void SnapshotReceiver::checked(std::uint64_t transfer, const Status& status) {
  if (phase_ != Phase::checking || transfer != transfer_) return;
  if (!status) {
    log(LogLevel::warn, "a received snapshot is damaged and was dropped",
        {{"from", hex_id(from_.value)}, {"reason", status.error().text}});
    refuse(from_, transfer_, status.error().text);
    drop();
    return;
  }
  phase_ = Phase::staged;
  host_.touch();
}

bool SnapshotReceiver::offer() {
  CHECK(phase_ == Phase::staged);
  if (host_.core->snapshot_received(mark_, from_)) {
    phase_ = Phase::installing;
    return true;
  }
  // Its entries came by the log meanwhile, and the sender may go on from there.
  finished_transfer_ = transfer_;
  acknowledge(true);
  drop();
  return false;
}

void SnapshotReceiver::installed() {
  CHECK(phase_ == Phase::installing);
  log(LogLevel::info, "a snapshot is installed", {{"index", mark_.last.index.value}});
  finished_transfer_ = transfer_;
  acknowledge(true);
  phase_ = Phase::idle;
}

void SnapshotReceiver::tick() {
  if (phase_ == Phase::receiving && host_.now - heard_at_ >= host_.give_up_ticks()) drop();
}

void SnapshotReceiver::acknowledge(bool done) {
  host_.transport.send(from_, SnapshotAck{transfer_, staged_, done, false, {}});
}

void SnapshotReceiver::refuse(raft::NodeId to, std::uint64_t transfer, std::string text) {
  host_.transport.send(to, SnapshotAck{transfer, 0, false, true, std::move(text)});
}

void SnapshotReceiver::drop() {
  if (phase_ == Phase::idle) return;
  phase_ = Phase::idle;
  transfer_ = 0;
  host_.store.import_drop();
}

}  // namespace iris
