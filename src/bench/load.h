// Load: calls in flight on many connections, and how long each took. A worker has a thread that
// waits on its completion queue and starts the next call in the place of the one that ended (closed
// loop), or a second thread that starts calls at fixed times (open loop), in whichever place is
// free.
//
// The time of a call counts from when it was due: in a closed loop that is when the one before it
// ended, in an open loop the clock's word, so that a call that had to wait for its turn shows it.
// The latencies are those of calls due after the warm-up and before the end, however late their
// answers; the rate counts the answers that came in that time.
// One thread, but stop() from any, signal handlers too. Owns the workers; borrows the connections.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "src/bench/connections.h"
#include "src/bench/histogram.h"
#include "src/bench/options.h"

namespace iris::bench {

using Clock = std::chrono::steady_clock;

inline constexpr std::size_t codes = 17;  // of gRPC: OK = 0 to UNAUTHENTICATED = 16

// Each has one writer; see Histogram.
struct Tally {
  Histogram sets;    // ns, of successes that are measured
  Histogram gets;    // ns
  Histogram delays;  // ns from when a call was due to when it was sent; open loop only
  std::array<std::atomic<std::uint64_t>, codes> ended{};  // by code, measured ones
  std::atomic<std::uint64_t> answered = 0;  // successes while it was measured: the rate
  std::atomic<std::uint64_t> unsent = 0;    // due, but all places were taken until the end

  void merge(const Tally& other);
};

// The operation of a call.
struct LoadPlan {
  std::uint32_t read_percent = 0;
  bool in_order = false;  // keys one after the other, not at random
  std::uint32_t rate = 0;
  std::chrono::milliseconds warm_up{0};
  std::chrono::milliseconds duration{0};
  std::uint64_t operations = 0;
};

struct LoadResult {
  Tally tally;
  double seconds = 0;  // that were measured
};

class Load {
 public:
  Load(const Options& options, const LoadPlan& plan, std::vector<Connection>& connections);
  ~Load();
  Load(const Load&) = delete;
  Load& operator=(const Load&) = delete;

  void start();
  // Blocks until every call has ended, or the time is over. True: all have.
  [[nodiscard]] bool wait(std::chrono::milliseconds time);
  // Ends it early; the calls under way still end. Any number of times.
  void stop() { stopped_.store(true, std::memory_order_relaxed); }
  // REQUIRES: wait() said true.
  [[nodiscard]] std::unique_ptr<LoadResult> result();

  struct Progress {
    bool warming_up = true;
    double seconds = 0;  // since the warm-up
    std::uint64_t answered = 0;
    std::uint64_t failed = 0;
  };
  [[nodiscard]] Progress progress() const;

 private:
  class Worker;
  friend class Worker;
  enum class Phase { warm_up, measured, over };
  // The phase of a call that is due at `due`; takes from the budget of operations.
  [[nodiscard]] Phase admit(Clock::time_point due);
  [[nodiscard]] Phase phase_at(Clock::time_point time) const;
  void worker_ended();

  const Options& options_;
  const LoadPlan plan_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::atomic<bool> stopped_ = false;
  std::atomic<std::uint64_t> admitted_ = 0;  // towards plan.operations
  std::atomic<std::uint64_t> next_key_ = 0;  // where keys are taken in order
  std::mutex mutex_;
  std::condition_variable ended_changed_;
  std::size_t ended_ = 0;       // workers, under mutex_
  Clock::time_point ended_at_;  // the last of them, under mutex_
  // Set before the workers start.
  Clock::time_point start_;
  Clock::time_point measured_from_;
  Clock::time_point measured_until_;
};

}  // namespace iris::bench
