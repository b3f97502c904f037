// Unread: listeners of iris-bench watch that listen to all sources and never take what they are
// sent, as a hung program does. Each has a connection of its own; a stream that the node ends is
// opened again. A thread of its own. Counts nothing: what they do to others is what is looked at.
#pragma once

#include <grpcpp/completion_queue.h>

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "src/bench/audience.h"
#include "src/bench/connections.h"

namespace iris::bench {

class Unread {
 public:
  // Subscribes; failures to connect or subscribe are printed. `broadcast` outlives this.
  [[nodiscard]] static Result<std::unique_ptr<Unread>> open(const Broadcast& broadcast);
  ~Unread();
  Unread(const Unread&) = delete;
  Unread& operator=(const Unread&) = delete;

 private:
  struct Seat;
  explicit Unread(std::vector<Connection> connections);
  [[nodiscard]] Result<Unit> subscribe(const Broadcast& broadcast);
  void work();

  std::vector<Connection> connections_;
  std::vector<std::unique_ptr<Seat>> seats_;
  grpc::CompletionQueue queue_;
  std::atomic<bool> ending_ = false;
  std::thread thread_;
};

}  // namespace iris::bench
