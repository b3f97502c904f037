// Reads: the reads of the store that listeners wait for, a few under way at a time, in order.
// Loop thread; the work itself runs on the store's read lane. No answer comes once this is
// destroyed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>

#include "src/listeners/alive.h"
#include "src/listeners/listeners.h"
#include "store/store.h"

namespace iris::listening {

// A read that one listener waits for in one stage. A stage that is left makes its job stale.
struct Job {
  ListenerId listener;
  std::uint64_t number = 0;  // Listener::job at that time
};

class Reads {
 public:
  using Work = std::function<void(const store::View& view)>;

  // `wanted`: false for a job that is stale. REQUIRES: the store outlives this, reads_max > 0.
  Reads(store::Store& store, std::size_t reads_max, std::function<bool(const Job&)> wanted)
      : store_(store), reads_max_(reads_max), wanted_(std::move(wanted)) {}

  // Runs `work` over `view` (nullptr: the state at that moment), then `done` on the loop. Neither
  // runs where `job` is stale when the read's turn comes; without a job both always run.
  // `done` must look for itself whether the job went stale during the read.
  void add(std::optional<Job> job, std::shared_ptr<const store::View> view, Work work,
           std::function<void()> done);

 private:
  struct Read {
    std::optional<Job> job;
    std::shared_ptr<const store::View> view;
    Work work;
    std::function<void()> done;
  };
  void start();

  store::Store& store_;
  const std::size_t reads_max_;
  const std::function<bool(const Job&)> wanted_;
  std::deque<Read> waiting_;
  std::size_t under_way_ = 0;
  const Alive alive_;
};

}  // namespace iris::listening
