// SnapshotReceiver: the follower's side of a snapshot transfer (paper section 7). It stages the
// chunks in the store, in order, acknowledges what is staged, has the store check the whole, and
// offers it to the core, which answers with LogWrite.install.
// Loop thread. One transfer at a time, from the leader. A new transfer begins from nothing; one
// without a chunk for NodeHost::give_up_ticks() is given up. Nothing of it is visible before the
// install is durable (hazards 59-69).
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <utility>

#include "src/node/host.h"

namespace iris {

class SnapshotReceiver {
 public:
  // `fail`: this node cannot go on, with the reason.
  SnapshotReceiver(NodeHost& host, std::function<void(Error)> fail)
      : host_(host), fail_(std::move(fail)) {}

  void chunk(raft::NodeId from, SnapshotChunk chunk);
  void tick();

  // Staged and checked: to be offered to the core once nothing is being applied or trimmed.
  [[nodiscard]] bool ready() const { return phase_ == Phase::staged; }
  // Of the last entry in the latest transfer.
  [[nodiscard]] raft::Index index() const { return mark_.last.index; }
  // From offer() to installed(): the data is about to be replaced.
  [[nodiscard]] bool installing() const { return phase_ == Phase::installing; }
  // REQUIRES: ready(). False: the core does not need the snapshot, which is dropped.
  bool offer();
  // The install is durable. REQUIRES: installing().
  void installed();

 private:
  enum class Phase : std::uint8_t { idle, receiving, checking, staged, installing };

  [[nodiscard]] bool is_known(raft::NodeId from, const SnapshotChunk& chunk);
  void begin(raft::NodeId from, const SnapshotChunk& chunk);
  void take(SnapshotChunk chunk);
  void chunk_staged(std::uint64_t transfer, std::size_t bytes, const Status& status);
  void checked(std::uint64_t transfer, const Status& status);
  void acknowledge(bool done);
  void refuse(raft::NodeId to, std::uint64_t transfer, std::string text);
  void drop();

  NodeHost& host_;
  const std::function<void(Error)> fail_;
  Phase phase_ = Phase::idle;
  raft::NodeId from_;
  std::uint64_t transfer_ = 0;
  raft::SnapshotMetadata mark_;
  std::uint64_t taken_ = 0;              // bytes given to the store
  std::uint64_t staged_ = 0;             // bytes that the store has taken
  std::uint64_t heard_at_ = 0;           // tick of the latest chunk
  std::uint64_t finished_transfer_ = 0;  // the last one that was acknowledged as done
};

}  // namespace iris
