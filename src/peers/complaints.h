// Complaints: what the log says of others, limited for each of them: the lines that one causes use
// up nothing of another's. One object for each kind of others (members, strangers), so that
// strangers, of whom there may be any number, use up nothing of the members'.
// One thread. Bounded: of peers, and of different texts of one of them.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "src/base/log_limiter.h"

namespace iris {

class Complaints {
 public:
  using Clock = LogLimiter::Clock;
  explicit Complaints(std::chrono::milliseconds pause, std::size_t peers_max = 128,
                      std::size_t texts_max = 8)
      : pause_(pause), peers_max_(peers_max), texts_max_(texts_max) {}

  // How many lines were left out since the last one about this peer; nothing: leave this one out
  // too.
  [[nodiscard]] std::optional<std::uint64_t> allow(const std::string& peer, const std::string& what,
                                                   Clock::time_point now) {
    auto known = peers_.find(peer);
    if (known == peers_.end()) {
      if (peers_.size() >= peers_max_ && !forget_quiet(now)) {
        ++left_out_;
        return std::nullopt;
      }
      known = peers_.emplace(peer, Peer{LogLimiter(pause_, texts_max_), now}).first;
    }
    const auto left_out = known->second.limiter.allow(what, now);
    if (!left_out) return std::nullopt;
    known->second.said = now;
    return *left_out + std::exchange(left_out_, 0);
  }
  // Anything about this peer is news again.
  void forget(const std::string& peer) { peers_.erase(peer); }

 private:
  struct Peer {
    LogLimiter limiter;
    Clock::time_point said;
  };
  // Of those about whom nothing was said for the pause, the one of the longest silence.
  bool forget_quiet(Clock::time_point now) {
    auto oldest = peers_.begin();
    for (auto each = peers_.begin(); each != peers_.end(); ++each) {
      if (each->second.said < oldest->second.said) oldest = each;
    }
    if (now - oldest->second.said < pause_) return false;
    peers_.erase(oldest);
    return true;
  }

  std::chrono::milliseconds pause_;
  std::size_t peers_max_;
  std::size_t texts_max_;
  std::map<std::string, Peer> peers_;
  std::uint64_t left_out_ = 0;  // about peers that had no place
};

}  // namespace iris
