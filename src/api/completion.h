// Completions: what gRPC has done, handed to the loop. One thread waits on the completion queue and
// does nothing else: it drains what is there, puts the batch where the loop finds it, and posts to
// the loop once for as long as the loop has not come for it. Whatever a completion means is decided
// on the loop.
// start() and stop() on the loop. Owns queue and thread. The thread never waits for the loop: the
// lock is held for one append, or one swap.
#pragma once

#include <grpcpp/completion_queue.h>

#include <asio/io_context.hpp>
#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace iris {

// What is given to gRPC as the tag of an operation. Whoever starts the operation keeps it alive
// until completed() is called, exactly once for each operation.
class Completion {
 public:
  // On the loop. What `ok` says depends on the operation: see where it is started.
  virtual void completed(bool ok) = 0;

 protected:
  ~Completion() = default;
};

class CompletionThread {
 public:
  // Events that may be moved at once. Enough for the hand-over to cost little, few enough for the
  // first of a batch not to wait for long.
  static constexpr std::size_t batch_events_max = 256;

  CompletionThread(asio::io_context& loop, std::unique_ptr<grpc::ServerCompletionQueue> queue);
  // REQUIRES: never started, or stop() is done.
  ~CompletionThread();
  CompletionThread(const CompletionThread&) = delete;
  CompletionThread& operator=(const CompletionThread&) = delete;

  void start();
  // Lets the queue run dry; `done` on the loop, after the last completion. REQUIRES: the server is
  // shut down, no operation is started from now on.
  void stop(std::function<void()> done);

  [[nodiscard]] grpc::ServerCompletionQueue* queue() { return queue_.get(); }

 private:
  struct Event {
    Completion* completion;
    bool ok;
  };
  void work();
  void hand_over(std::vector<Event>& batch);
  void take_over();

  asio::io_context& loop_;
  std::unique_ptr<grpc::ServerCompletionQueue> queue_;
  std::thread thread_;
  std::function<void()> stopped_;  // loop

  std::mutex mutex_;
  std::vector<Event> handed_over_;  // under mutex_
  std::vector<Event> taken_;        // loop; kept for its capacity
};

}  // namespace iris
