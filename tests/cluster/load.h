// Load: writers that keep one node busy and keep the revision and value of every acknowledged
// write, from which the state of the cluster at any revision follows. Threads of its own;
// acknowledged() and unknown() at any time, the rest after stop().
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "tests/cluster/node_api.h"

namespace iris::test {

struct LoadOptions {
  std::string source = "load";
  std::size_t writers = 16;  // each with keys of its own, one call at a time
  std::size_t keys_per_writer = 64;
  std::size_t value_bytes = 1024;
  std::size_t remove_one_in = 0;  // so many calls remove their key instead; 0: none
  Milliseconds call_limit{10000};
};

// Bytes that only this key and number have, and that do not compress.
[[nodiscard]] std::string unlike_any(const std::string& key, std::uint64_t number,
                                     std::size_t bytes);

// Writes megabytes of keys once each, through `api`: source "fill", 64 KiB a value. False: a write
// failed, which is printed.
[[nodiscard]] bool fill(const NodeApi& api, std::size_t megabytes);
[[nodiscard]] std::map<std::string, std::string> fill_content(std::size_t megabytes);

class Load {
 public:
  Load(const NodeApi& api, LoadOptions options);
  ~Load();
  Load(const Load&) = delete;
  Load& operator=(const Load&) = delete;

  void start();
  void stop();  // waits for the calls under way

  [[nodiscard]] std::uint64_t acknowledged() const { return acknowledged_.load(); }
  // The number of writes with an unknown outcome.
  [[nodiscard]] std::uint64_t unknown() const { return unknown_.load(); }
  // Acknowledged writes a second, over `span` from now.
  [[nodiscard]] double rate(Milliseconds span) const;
  [[nodiscard]] bool await_progress(std::uint64_t more, Milliseconds limit) const;

  // Key and value of the whole source as it was at `revision`, but for the unclear ones.
  [[nodiscard]] std::map<std::string, std::string> at(std::uint64_t revision) const;
  // Keys that ever had a write with an unknown outcome: at() does not know their values.
  [[nodiscard]] std::set<std::string> unclear() const;
  [[nodiscard]] std::uint64_t last_revision() const;  // of an acknowledged write
  [[nodiscard]] const LoadOptions& options() const { return options_; }

 private:
  struct Write {
    std::uint64_t revision = 0;
    std::size_t key = 0;
    std::uint64_t number = 0;  // 0: removed
  };
  struct Writer {
    std::vector<Write> writes;  // acknowledged, in their order
    std::vector<bool> unclear;  // by key
    std::uint64_t calls = 0;    // so far; each value has the number of its call
    std::thread thread;
  };
  void write(std::size_t which);
  [[nodiscard]] std::string key_name(std::size_t writer, std::size_t key) const;

  const NodeApi& api_;
  const LoadOptions options_;
  std::vector<Writer> writers_;
  std::atomic<bool> stopping_{false};
  std::atomic<std::uint64_t> acknowledged_{0}, unknown_{0};
};

}  // namespace iris::test
