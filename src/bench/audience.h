// Audience: some of the listeners of iris-bench watch, on one completion queue and one thread. Each
// has a session of its own and listens to one source. Checks every update when it comes: its order
// within the stream, and that it was not there before; at the end, that all of the ledger came.
// start(), finish() and the getters on the main thread; the counters may be read meanwhile.
#pragma once

#include <grpcpp/completion_queue.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "src/bench/connections.h"
#include "src/bench/watch.h"

namespace iris::bench {

// The state that all parts of a run share. Written before the threads start, but for the atomics.
struct Broadcast {
  const Options& options;
  std::vector<Connection>& connections;
  std::uint64_t run = 0;  // random
  std::vector<std::string> sources;
  std::vector<Ledger> ledgers;            // by source; the writer's until written_out
  std::atomic<bool> written_out = false;  // then the ledgers change no more
  std::atomic<bool> measuring = false;
};

class Audience {
 public:
  // Listeners first, first + step, ... of the options.
  Audience(Broadcast& broadcast, std::uint32_t first, std::uint32_t step);
  // Ends the streams.
  ~Audience();
  Audience(const Audience&) = delete;
  Audience& operator=(const Audience&) = delete;

  void start();
  [[nodiscard]] bool subscribed() const;      // all of them
  [[nodiscard]] bool complete() const;        // all have what the ledgers say; after written_out
  [[nodiscard]] std::string trouble() const;  // what the last failed call said; empty: none failed
  // Ends the streams and adds what came of them.
  void finish(WatchResult& result);

  // Each counter has one writer.
  struct Counters {
    std::atomic<std::uint64_t> subscribed = 0;
    std::atomic<std::uint64_t> complete = 0;
    std::atomic<std::uint64_t> delivered = 0;  // while measuring
    std::atomic<std::uint64_t> delivered_all = 0;
    std::atomic<std::uint64_t> duplicated = 0;
    std::atomic<std::uint64_t> reordered = 0;
    std::atomic<std::uint64_t> resyncs = 0;
    std::atomic<std::uint64_t> reconnects = 0;
  };
  [[nodiscard]] const Counters& counters() const { return counters_; }

 private:
  class Seat;
  friend class Seat;
  void work();
  void admit();  // lets further seats subscribe
  void note(std::size_t connection, const grpc::Status& status);
  void check_complete();

  Broadcast& broadcast_;
  std::vector<std::unique_ptr<Seat>> seats_;
  std::size_t admitted_ = 0;
  grpc::CompletionQueue queue_;
  Counters counters_;
  Histogram deliveries_;
  std::atomic<bool> ending_ = false;
  std::size_t open_ = 0;  // seats with an operation under way
  mutable std::mutex mutex_;
  std::string trouble_;  // under mutex_
  std::thread thread_;
};

}  // namespace iris::bench
