// Trimmer: keeps the log within NodeOptions::log_bytes_max and log_entries_max. The untrimmed log
// is in memory as a whole, so this bounds the memory as well.
// Loop thread. Owns nothing. Trims only applied entries, and the store syncs the data that contains
// them before it drops them (hazard 65). The log may grow to a multiple of its limits while it is
// needed: to twice for a follower that is a little behind, to four times for a stream that is sent
// a state, to eight times for a follower that is being sent a snapshot and has not caught up since.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>

#include "src/node/host.h"
#include "src/node/snapshot_receiver.h"
#include "src/node/snapshot_sender.h"

namespace iris {

class Trimmer {
 public:
  Trimmer(NodeHost& host, const SnapshotSender& sender, const SnapshotReceiver& receiver)
      : host_(host), sender_(sender), receiver_(receiver) {}

  void written(const raft::LogWrite& write);  // went to the log lane
  void applied() { check_if_due(); }
  void tick();

  [[nodiscard]] bool trimming() const { return trimming_; }

 private:
  void check_if_due();
  void check();
  [[nodiscard]] std::uint64_t log_entries() const;
  [[nodiscard]] bool longer_than(std::size_t limits) const;
  [[nodiscard]] raft::Index wanted_floor() const;
  [[nodiscard]] raft::Index allowed_floor(raft::Index wanted);
  [[nodiscard]] std::optional<raft::Index> needed_by(const raft::PeerStatus& peer,
                                                     raft::Index wanted);
  void trim(raft::Index floor);

  NodeHost& host_;
  const SnapshotSender& sender_;
  const SnapshotReceiver& receiver_;
  std::size_t written_bytes_ = 0;  // since the last check
  std::uint64_t written_entries_ = 0;
  std::set<raft::NodeId> catching_up_;  // were sent a snapshot, and have not caught up since
  bool trimming_ = false;
};

}  // namespace iris
