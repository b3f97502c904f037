// AuditLoad: an open load on a real cluster: writes at fixed times, whether or not earlier ones are
// answered, to all nodes in turn. Sets, removals of keys, and a few of whole sources; none is
// retried. Two threads of its own between start() and pause(); the public functions are for one
// thread.
#pragma once

#include <grpcpp/completion_queue.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <random>
#include <thread>
#include <vector>

#include "tests/cluster/audit.h"
#include "tests/cluster/nodes.h"

namespace iris::test::audit {

class AuditLoad {
 public:
  // `rate`: writes a second.
  AuditLoad(const Nodes& nodes, std::uint32_t rate, std::uint64_t seed);
  ~AuditLoad();
  AuditLoad(const AuditLoad&) = delete;
  AuditLoad& operator=(const AuditLoad&) = delete;

  void start();
  // Returns when every write has ended: by an answer or by its time limit.
  void pause();

  [[nodiscard]] std::uint64_t acknowledged() const { return acknowledged_; }
  [[nodiscard]] std::uint64_t unacknowledged() const { return unacknowledged_; }
  [[nodiscard]] std::uint64_t skipped() const { return skipped_; }  // too many were under way
  // Between pause() and start().
  [[nodiscard]] const std::vector<Stored>& stored() const { return stored_; }
  [[nodiscard]] std::uint64_t last_revision() const { return last_revision_; }

 private:
  struct Write;
  void send();
  void send_one();
  void take_answers();

  const Nodes& nodes_;
  const std::uint32_t rate_;
  std::mt19937_64 random_;    // of the sender, like the two below
  std::uint32_t number_ = 0;  // of the last write
  std::uint64_t skipped_ = 0;
  std::vector<Stored> stored_;  // of the taker, like the one below
  std::uint64_t last_revision_ = 0;
  std::atomic<std::uint64_t> acknowledged_ = 0, unacknowledged_ = 0;
  std::atomic<std::size_t> under_way_ = 0;
  std::atomic<bool> pausing_ = false;
  std::unique_ptr<grpc::CompletionQueue> queue_;  // one from start() to pause()
  std::thread sender_, taker_;
};

}  // namespace iris::test::audit
