// SnapshotSender: the leader's side of snapshot transfers (paper section 7). It pins the data,
// sends it in chunks, keeps the unacknowledged ones (at most a window of them) to send them again,
// and tells the core how the transfer ended.
// Loop thread. Owns the pinned exports. At most transfers_max transfers at once, others wait their
// turn; all share the throttle NodeOptions::snapshot_bytes_per_second. A transfer without progress
// for NodeHost::give_up_ticks() fails, and the core asks for a new one. A follower that refuses
// snapshots is sent the next one after a pause that doubles each time.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "src/node/host.h"

namespace iris {

class SnapshotSender {
 public:
  static constexpr std::size_t transfers_max = 2;

  explicit SnapshotSender(NodeHost& host) : host_(host) {}

  void wanted(raft::NodeId to);  // the core asks for a transfer
  void acknowledged(raft::NodeId from, const SnapshotAck& ack);
  void role_changed();
  void tick();
  void stop();

  // The last entry of the oldest snapshot on its way: its receiver will need the log after it.
  [[nodiscard]] std::optional<raft::Index> oldest() const;

 private:
  struct Transfer {
    std::uint64_t id = 0;
    std::unique_ptr<store::Export> source;
    raft::SnapshotMetadata mark;
    std::deque<SnapshotChunk> unacknowledged;
    std::size_t unacknowledged_bytes = 0;
    std::uint64_t read = 0;          // bytes from the export so far
    std::uint64_t acknowledged = 0;  // bytes that the receiver has staged
    bool reading = false;            // a read of the export is under way
    bool at_end = false;             // the export is read to its end
    std::uint64_t progress_at = 0;   // tick of the latest progress
    std::uint64_t sent_at = 0;       // tick of the latest chunk
    // The core is told at tick `over_at` only, since it asks for the next transfer at once.
    bool failed = false;
    std::uint64_t over_at = 0;

    // The receiver may have installed it, and only its last acknowledgement was lost.
    [[nodiscard]] bool all_acknowledged() const { return at_end && acknowledged == read; }
  };

  void start(raft::NodeId to);
  void pump(raft::NodeId to, Transfer& transfer);
  void chunk_read(raft::NodeId to, std::uint64_t id, Result<std::string> bytes);
  void fail_transfer(raft::NodeId to, Transfer& transfer, const std::string& reason);
  void refused(raft::NodeId by, Transfer& transfer, const std::string& reason);
  void start_waiting();
  [[nodiscard]] bool full() const;
  void end(raft::NodeId to, bool ok);

  NodeHost& host_;
  std::map<raft::NodeId, Transfer> transfers_;
  std::vector<raft::NodeId> waiting_;
  std::map<raft::NodeId, std::uint32_t> refusals_;  // in a row, while connected
  std::uint64_t started_ = 0;
  // Bytes that may be sent now. A chunk is sent while this is above zero, and may leave it below.
  std::int64_t allowance_bytes_ = 1;
};

}  // namespace iris
