// SnapshotSender: the leader's side of snapshot transfers. Pins the data, streams it in chunks,
// keeps what is not acknowledged (at most a window of it) to send it again, and tells the core the
// end. Loop thread. Owns the pinned exports. At most transfers_max at once, the others wait their
// turn; all of them share NodeOptions::snapshot_bytes_per_second. A transfer without progress is
// given up; the core then asks for a new one. Who refuses them is sent the next one ever later.
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

  void wanted(raft::NodeId to);
  void acknowledged(raft::NodeId from, const SnapshotAck& ack);
  void role_changed();
  void tick();
  void stop();

  // The oldest state that is on its way to somebody: the log after it will be needed.
  [[nodiscard]] std::optional<raft::Index> oldest() const;

 private:
  struct Transfer {
    std::uint64_t id = 0;
    std::unique_ptr<store::Export> source;
    raft::SnapshotMark mark;
    std::deque<SnapshotChunk> unacknowledged;
    std::size_t unacknowledged_bytes = 0;
    std::uint64_t read = 0;          // bytes from the export so far
    std::uint64_t acknowledged = 0;  // bytes staged there
    bool reading = false;
    bool at_end = false;
    std::uint64_t progress_at = 0;  // ticks
    std::uint64_t sent_at = 0;
    bool failed = false;  // told to the core when `over_at` comes, so that failing costs no storm
    std::uint64_t over_at = 0;

    // It may be installed, and only the word of it was lost.
    [[nodiscard]] bool all_acknowledged() const { return at_end && acknowledged == read; }
  };

  void earn();
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
  std::map<raft::NodeId, std::uint32_t> refusals_;  // one after the other, while connected
  std::uint64_t started_ = 0;
  // What may be sent now. A chunk goes while this is above zero, and may leave a debt.
  std::int64_t allowance_bytes_ = 1;
};

}  // namespace iris
