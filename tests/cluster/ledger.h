// Ledger: load on a real cluster, and the proof that nothing acknowledged is lost or read back
// older. Each key has one writer that stores 1, 2, 3, ... A read is linearizable exactly when
//   acknowledged before it was invoked <= value <= issued before it returned, and
//   no earlier finished read of the key (by anyone) saw a greater value.
// That is checked online, at any length and concurrency. Threads of its own; the
// public functions are thread-safe.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "tests/cluster/nodes.h"

namespace iris::test {

struct LedgerOptions {
  std::size_t writers =
      6;  // each with a key of its own, at a fixed node: writer i talks to node i % nodes
  std::size_t readers = 6;  // each reads all keys in turn, at a fixed node
  Milliseconds call_limit{2000};
  std::string source = "ledger";
  std::size_t padding_bytes = 64;  // values are longer than their number
};

class Ledger {
 public:
  Ledger(const Nodes& nodes, LedgerOptions options);
  ~Ledger();
  Ledger(const Ledger&) = delete;
  Ledger& operator=(const Ledger&) = delete;

  void start();
  void stop();  // waits for the calls under way

  [[nodiscard]] std::uint64_t acknowledged() const { return acknowledged_.load(); }
  [[nodiscard]] std::uint64_t reads() const { return reads_.load(); }
  [[nodiscard]] std::uint64_t unknown() const { return unknown_.load(); }
  // The longest time without an acknowledgement since the last call of start().
  [[nodiscard]] double longest_gap_ms() const;
  // Violations so far, one sentence each; empty is good.
  [[nodiscard]] std::vector<std::string> violations() const;
  // After stop(): reads every key through `api` and checks it.
  void check_final(const NodeApi& api, const std::string& through);
  // Waits until `more` further writes are acknowledged.
  [[nodiscard]] bool await_progress(std::uint64_t more, Milliseconds limit) const;

 private:
  struct Key {
    std::string name;
    std::mutex mutex;
    std::uint64_t issued = 0;
    std::uint64_t acknowledged = 0;
    std::uint64_t seen = 0;           // by any finished read
    std::uint64_t last_revision = 0;  // of an acknowledged write: they only grow
  };
  void write(std::size_t writer);
  void read(std::size_t reader);
  bool check_read(Key& key, const NodeApi& api, const std::string& through);
  void violation(std::string text);
  void note_acknowledged();
  [[nodiscard]] std::string value_of(std::uint64_t number) const;

  LedgerOptions options_;
  std::vector<const NodeApi*> apis_;
  std::vector<std::unique_ptr<Key>> keys_;
  std::vector<std::thread> threads_;
  std::atomic<bool> stopping_{false};
  std::atomic<std::uint64_t> acknowledged_{0}, reads_{0}, unknown_{0};
  mutable std::mutex mutex_;
  std::vector<std::string> violations_;
  Clock::time_point last_acknowledged_;
  Clock::duration longest_gap_{0};
};

}  // namespace iris::test
