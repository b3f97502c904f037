// Patience: how long a stream may say nothing before it is given up. Pure, one thread.
//
// gRPC reports whole messages only: a large value on a slow line looks like a node that fell
// silent, and would look so again on the next stream. So each silent end doubles the time limit,
// until a stream gets past the place where the last silent one stopped. A dead host is still
// noticed, by the keep-alive pings of HTTP/2.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <tuple>

#include "src/client/client.h"

namespace iris::client {

class Patience {
 public:
  static constexpr int silent_heartbeats_max = 3;
  // The longest time limit that doubling leads to. A heartbeat so long that three of them are
  // longer has three of them.
  static constexpr std::chrono::milliseconds silent_longest{600'000};

  explicit Patience(std::chrono::milliseconds heartbeat)
      : shortest_(heartbeat * silent_heartbeats_max) {}

  [[nodiscard]] std::chrono::milliseconds silent_max() const {
    return std::clamp(shortest_ * (1 << doublings_), shortest_,
                      std::max(shortest_, silent_longest));
  }
  // A stream was given up; so far the cursor got.
  void fell_silent(const Position& stopped_at) {
    doublings_ = std::min(doublings_ + 1, doublings_max);
    stopped_at_ = stopped_at;
  }
  // An update came on a stream that was opened `open_for` ago; so far the cursor got. `quiet`: the
  // update is a bookmark at that very place. A bookmark that late proves that no large value was on
  // its way: the node had fallen silent.
  void heard(const Position& now, bool quiet, std::chrono::milliseconds open_for) {
    if (is_past(now, stopped_at_) || (quiet && open_for >= silent_max())) doublings_ = 0;
  }

 private:
  static constexpr int doublings_max = 16;  // more than from the shortest heartbeat to the longest

  // Of a revision, the whole is the end.
  [[nodiscard]] static bool is_past(const Position& now, const Position& then) {
    if (now.revision != then.revision) return now.revision > then.revision;
    if (then.is_whole() || now.is_whole()) return !then.is_whole();
    return std::tie(now.source, now.key) > std::tie(then.source, then.key);
  }

  const std::chrono::milliseconds shortest_;
  int doublings_ = 0;
  Position stopped_at_;  // where the last silent stream did
};

}  // namespace iris::client
