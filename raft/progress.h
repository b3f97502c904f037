// Progress: one follower or learner as its leader sees it: how far its log is known to equal the
// leader's, the next entry to send, and the requests on their way.
// One thread. Owns the window; replication.cc builds and sends the messages.
//
//   probe      one request at a time, until one is answered; `next` is a guess that moves down
//   replicate  pipelined: `next` moves up as requests leave, bounded by the window
//   snapshot   the leader's log does not reach back to it; waits for the host's transfer
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

enum class ProgressState { probe, replicate, snapshot };

struct Progress {
  Index match;  // durable there and equal to the leader's log, proved in this term
  Index next;   // of the first entry to send
  ProgressState state = ProgressState::probe;
  bool paused = false;       // probe: waits for an answer, or (sent_to 0) to be heard again
  bool empty_probe = false;  // probe: without entries, as one that had some got no answer
  Window window;

  std::uint32_t silent_ticks = 0;  // since it was last heard
  Round round_acked;               // greatest round of heartbeats it answered
  Index commit_told;               // the greatest commit index sent to it

  // Loss detection. The answer to the heartbeat of loss_round must say that the follower verified
  // all that was sent before that heartbeat (loss_sent); else a request was lost on the way,
  // however slow the follower's disk is.
  Index sent_to;  // last index of any request since `state` began; 0: none was sent
  std::optional<Round> loss_round;
  Index loss_sent;

  // Catch-up rounds of a learner (thesis 4.2.1): each ends when the learner has the log as it was
  // when the round began; one shorter than an election timeout shows that it keeps up.
  Index catch_up_target;
  std::uint32_t catch_up_ticks = 0;
  bool keeps_up = false;

  // A former member, which still gets the log for a while, to learn of its removal.
  bool leaving = false;
  std::uint32_t leaving_ticks = 0;

  void count_tick() {
    if (silent_ticks < std::numeric_limits<std::uint32_t>::max()) ++silent_ticks;
    if (catch_up_ticks < std::numeric_limits<std::uint32_t>::max()) ++catch_up_ticks;
  }

  void probe(Index from) {
    state = ProgressState::probe;
    next = std::max(from, match.next());
    paused = false;
    empty_probe = false;
    restart_window();
  }
  void replicate() {
    state = ProgressState::replicate;
    next = match.next();
    paused = false;
    restart_window();
    sent_to = match;
  }
  void wait_for_snapshot() {
    state = ProgressState::snapshot;
    paused = true;
    restart_window();
  }

  void check_invariants() const {
    CHECK(match < next);
    CHECK(state == ProgressState::replicate || window.empty());
    CHECK(state != ProgressState::snapshot || paused);
  }

 private:
  void restart_window() {
    window.clear();
    sent_to = {};
    loss_round.reset();
    loss_sent = {};
  }
};

}  // namespace iris::raft
