// Recorder: clients on a real cluster that call at random, and the history of what they were told
// (tests/history). Each client is bound to one node, so that a node with old data is seen.
// Threads of its own between start() and stop(); the public functions are for one thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "tests/cluster/nodes.h"
#include "tests/history/operation.h"

namespace iris::test {

struct RecorderOptions {
  std::size_t clients = 8;
  // Every so many calls all go on to new sources, so that the search per key stays short.
  std::uint64_t calls_per_epoch = 6'000;
  std::size_t sources = 3;  // of one epoch; further ones are for conditional writes
  std::size_t keys = 4;     // of each
  Milliseconds call_limit{2'000};
};

class Recorder {
 public:
  Recorder(const Nodes& nodes, RecorderOptions options, std::uint64_t seed);
  ~Recorder();
  Recorder(const Recorder&) = delete;
  Recorder& operator=(const Recorder&) = delete;

  void start();
  void stop();  // waits for the calls under way

  [[nodiscard]] std::uint64_t succeeded() const { return succeeded_; }
  [[nodiscard]] bool await_progress(std::uint64_t more, Milliseconds limit) const;
  // After stop(): all that was recorded.
  [[nodiscard]] const history::History& history() const { return history_; }
  // After stop(): reads every key, and lists every source, of the last epoch through node `i`.
  void read_all(std::size_t i);

 private:
  void run(std::uint32_t client, std::uint64_t seed);
  // Draws a call; its answer is still to come.
  [[nodiscard]] history::Operation draw(std::uint32_t client, std::mt19937_64& random);
  void call(const NodeApi& api, history::Operation& operation) const;
  void keep(history::Operation operation);
  [[nodiscard]] std::string source_of(std::uint64_t epoch, std::size_t number,
                                      bool conditional) const;
  [[nodiscard]] std::int64_t now_us() const;

  const Nodes& nodes_;
  const RecorderOptions options_;
  const Clock::time_point begin_ = Clock::now();
  std::mt19937_64 random_;
  std::vector<std::thread> threads_;
  std::atomic<bool> stopping_{false};
  std::atomic<std::uint64_t> calls_{0}, succeeded_{0}, values_{0};
  std::mutex mutex_;
  history::History history_;
};

}  // namespace iris::test
