// SnapshotReceiver: the follower's side of a snapshot transfer. Stages the chunks in the store, in
// order, acknowledges what is staged, has the whole checked, and offers it to the core, which
// answers with LogWrite.install.
// Loop thread. One transfer at a time, from whoever leads; a new one begins from nothing, and one
// that nobody continues is given up. Nothing of it is seen by anybody before the install is durable
// (hazards 59-69).
#pragma once

#include <cstdint>
#include <string>

#include "src/node/host.h"

namespace iris {

class SnapshotReceiver {
 public:
  explicit SnapshotReceiver(NodeHost& host) : host_(host) {}

  void chunk(raft::NodeId from, SnapshotChunk chunk);
  void tick();

  // Staged and checked: may be offered to the core once nothing is being applied or trimmed.
  [[nodiscard]] bool ready() const { return phase_ == Phase::staged; }
  // Of the latest transfer.
  [[nodiscard]] raft::Index index() const { return mark_.last.index; }
  // Between offer() and installed() the data is about to be replaced.
  [[nodiscard]] bool installing() const { return phase_ == Phase::installing; }
  [[nodiscard]] bool idle() const { return phase_ == Phase::idle; }
  // REQUIRES: ready(). False: the core does not need it.
  bool offer();
  // REQUIRES: installing(). The install is durable.
  void installed();

 private:
  enum class Phase : std::uint8_t { idle, receiving, checking, staged, installing };

  void begin(raft::NodeId from, const SnapshotChunk& chunk);
  void take(SnapshotChunk chunk);
  void staged_bytes(std::uint64_t transfer, std::size_t bytes, const Status& status);
  void checked(std::uint64_t transfer, const Status& status);
  void acknowledge(bool done);
  void refuse(raft::NodeId to, std::uint64_t transfer, std::string text);
  void drop();

  NodeHost& host_;
  Phase phase_ = Phase::idle;
  raft::NodeId from_;
  std::uint64_t transfer_ = 0;
  raft::SnapshotMark mark_;
  std::uint64_t taken_ = 0;   // bytes given to the store
  std::uint64_t staged_ = 0;  // bytes it has
  std::uint64_t heard_at_ = 0;
  std::uint64_t finished_transfer_ = 0;  // the last one that ended well: its ack may be lost
};

}  // namespace iris
