// One follower or learner as its leader sees it: how far its log is known to equal the leader's,
// what to send next and how much may be on the way.
// One thread. Owns the window; never builds or sends a message (replication.cc does).
//
//   probe      one request at a time, until one is answered; `next` is a guess that moves down
//   replicate  pipelined: `next` moves up as requests leave, bounded by the window
//   snapshot   the log here no longer reaches back to it; waits for the host's transfer
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <limits>
#include <optional>

#include "raft/check.h"
#include "raft/types.h"

namespace iris::raft {

// Unacknowledged AppendRequests with entries, in order.
class Window {
 public:
  [[nodiscard]] std::size_t bytes() const { return bytes_; }
  [[nodiscard]] std::size_t messages() const { return sent_.size(); }
  [[nodiscard]] bool empty() const { return sent_.empty(); }

  void push(Index last, std::size_t bytes) {
    sent_.push_back({last, bytes});
    bytes_ += bytes;
  }
  void acked(Index match) {
    while (!sent_.empty() && sent_.front().last <= match) {
      bytes_ -= sent_.front().bytes;
      sent_.pop_front();
    }
  }
  void clear() {
    sent_.clear();
    bytes_ = 0;
  }

 private:
  struct Sent {
    Index last;
    std::size_t bytes;
  };
  std::deque<Sent> sent_;
  std::size_t bytes_ = 0;
};

enum class Pace { probe, replicate, snapshot };

struct Progress {
  Index match;  // durable there and equal to the leader's log, proved in this term
  Index next;   // of the first entry to send
  Pace pace = Pace::probe;
  bool paused = false;  // probe: waits for an answer, or (sent_to 0) for a sign of life
  bool bare = false;    // probe: without entries, because one that had some got no answer
  Window window;

  std::uint32_t silent_ticks = 0;  // since it was last heard
  Round round_acked;               // greatest round of heartbeats it answered
  Index commit_told;               // commit index it was last told, as far as a message can tell

  // Loss detection. What had left before the heartbeat of mark_round must have been verified by
  // whoever answers that round; else it was lost on the way, however slow the disk there is.
  Index sent_to;  // last index of any request since `pace` began; 0: none left
  std::optional<Round> mark_round;
  Index mark_sent;

  // Catch-up rounds of a learner (thesis 4.2.1): each aims at the log's end as it was when the
  // round began; one shorter than an election timeout shows that it can keep up.
  Index catch_up_target;
  std::uint32_t catch_up_ticks = 0;
  bool keeps_up = false;

  // Not a member any more: it still gets the log for a while, to learn of its removal.
  bool leaving = false;
  std::uint32_t leaving_ticks = 0;

  void count_tick() {
    if (silent_ticks < std::numeric_limits<std::uint32_t>::max()) ++silent_ticks;
    if (catch_up_ticks < std::numeric_limits<std::uint32_t>::max()) ++catch_up_ticks;
  }

  void probe(Index from) {
    pace = Pace::probe;
    next = std::max(from, match.next());
    paused = false;
    bare = false;
    restart_window();
  }
  void replicate() {
    pace = Pace::replicate;
    next = match.next();
    paused = false;
    restart_window();
    sent_to = match;
  }
  void wait_for_snapshot() {
    pace = Pace::snapshot;
    paused = true;
    restart_window();
  }

  void check_invariants() const {
    CHECK(match < next);
    CHECK(pace == Pace::replicate || window.empty());
    CHECK(pace != Pace::snapshot || paused);
  }

 private:
  void restart_window() {
    window.clear();
    sent_to = {};
    mark_round.reset();
    mark_sent = {};
  }
};

}  // namespace iris::raft
