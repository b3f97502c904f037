// Trimmer: keeps the log short, and watches how full the disk is. The whole untrimmed log is in
// memory, so its bytes are bounded here. Loop thread. Owns nothing.
// Trims only what is applied, and only after the store has synced the data that contains it
// (hazard 65). A follower that is a little behind holds the log back until it is twice its limit;
// one that is being sent a snapshot, until it has caught up or the log is eight times its limit.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <set>

#include "src/node/host.h"
#include "src/node/snapshot_send.h"

namespace iris {

class Trimmer {
 public:
  Trimmer(NodeHost& host, const SnapshotSender& sender) : host_(host), sender_(sender) {}

  void written(const raft::LogWrite& write);  // went to the log lane
  void applied() { check_if_due(); }
  void tick();

  [[nodiscard]] bool busy() const { return trimming_; }
  // No trim is begun while an install is near.
  void hold(bool on) { held_ = on; }

 private:
  void check_if_due();
  void check();
  [[nodiscard]] raft::Index wanted_floor(const raft::CoreStatus& status) const;
  [[nodiscard]] bool longer_than(std::size_t limits, const raft::CoreStatus& status) const;
  [[nodiscard]] raft::Index held_back(const raft::CoreStatus& status, raft::Index wanted);
  void trim(raft::Index floor);

  NodeHost& host_;
  const SnapshotSender& sender_;
  std::size_t written_bytes_ = 0;  // since the last check
  std::uint64_t written_entries_ = 0;
  std::uint64_t room_from_ = 0;  // growth is taken from this tick on, if there is room until then
  std::set<raft::NodeId> fed_;   // sent a snapshot, and not caught up yet
  bool trimming_ = false;
  bool held_ = false;
};

}  // namespace iris
