// Timeline: simulated time and the events in it. Events of one instant run in the order in which
// they were scheduled, so a run is a function of its seed.
// One thread. Owns the events.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "raft/check.h"
#include "tests/sim/random.h"

namespace iris::sim {

class Timeline {
 public:
  using Fn = std::function<void()>;

  [[nodiscard]] std::uint64_t now_us() const { return now_us_; }
  [[nodiscard]] std::size_t pending() const { return heap_.size(); }
  // Every event ever run, mixed in order: equal for equal seeds (invariant DET).
  [[nodiscard]] std::uint64_t hash() const { return hash_; }
  void note(std::uint64_t fact) { hash_ = mix(hash_ ^ fact); }

  void after(std::uint64_t delay_us, Fn fn) {
    std::uint32_t slot;
    if (free_.empty()) {
      slot = static_cast<std::uint32_t>(events_.size());
      events_.push_back(std::move(fn));
    } else {
      slot = free_.back();
      free_.pop_back();
      events_[slot] = std::move(fn);
    }
    heap_.push_back({now_us_ + delay_us, sequence_++, slot});
    std::push_heap(heap_.begin(), heap_.end(), later);
  }

  // Runs the next event if it is due before `until_us`; else moves the clock there, returns false.
  bool step(std::uint64_t until_us) {
    if (heap_.empty() || heap_.front().time_us >= until_us) {
      now_us_ = std::max(now_us_, until_us);
      return false;
    }
    std::pop_heap(heap_.begin(), heap_.end(), later);
    const Due due = heap_.back();
    heap_.pop_back();
    CHECK(due.time_us >= now_us_);
    now_us_ = due.time_us;
    note(due.time_us ^ (due.sequence << 40));
    const Fn fn = std::move(events_[due.slot]);
    events_[due.slot] = nullptr;
    free_.push_back(due.slot);
    fn();
    return true;
  }

 private:
  struct Due {
    std::uint64_t time_us;
    std::uint64_t sequence;
    std::uint32_t slot;
  };
  static bool later(const Due& a, const Due& b) {
    return a.time_us != b.time_us ? a.time_us > b.time_us : a.sequence > b.sequence;
  }

  std::uint64_t now_us_ = 0;
  std::uint64_t sequence_ = 0;
  std::uint64_t hash_ = 0;
  std::vector<Due> heap_;
  std::vector<Fn> events_;  // by slot
  std::vector<std::uint32_t> free_;
};

}  // namespace iris::sim
