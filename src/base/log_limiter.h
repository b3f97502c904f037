// LogLimiter: lets the same line into the log at most once in a while, with the count of those left
// out. For lines that a client or peer can cause as often as it likes.
// One thread. Owns a bounded memory of the lines let through lately. When that is full, no new line
// is let through until the oldest is old enough, so the number of lines is bounded however their
// texts vary.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>

namespace iris {

class LogLimiter {
 public:
  using Clock = std::chrono::steady_clock;
  explicit LogLimiter(std::chrono::milliseconds pause, std::size_t remembered_max = 128)
      : pause_(pause), remembered_max_(remembered_max) {}

  // How many were left out since this line was let through last. nullopt: leave this one out too.
  [[nodiscard]] std::optional<std::uint64_t> allow(const std::string& what, Clock::time_point now) {
    const auto known = said_.find(what);
    if (known == said_.end()) {
      if (said_.size() >= remembered_max_ && !forget_oldest(now)) {
        ++without_place_;
        return std::nullopt;
      }
      said_.emplace(what, Said{now, 0});
      return std::exchange(without_place_, 0);
    }
    Said& said = known->second;
    if (now - said.at < pause_) {
      ++said.left_out;
      return std::nullopt;
    }
    const std::uint64_t left_out = said.left_out;
    said = {now, 0};
    return left_out + std::exchange(without_place_, 0);
  }

 private:
  struct Said {
    Clock::time_point at;
    std::uint64_t left_out = 0;
  };
  bool forget_oldest(Clock::time_point now) {
    auto oldest = said_.begin();
    for (auto each = said_.begin(); each != said_.end(); ++each) {
      if (each->second.at < oldest->second.at) oldest = each;
    }
    if (now - oldest->second.at < pause_) return false;
    said_.erase(oldest);
    return true;
  }

  std::chrono::milliseconds pause_;
  std::size_t remembered_max_;
  std::map<std::string, Said> said_;
  std::uint64_t without_place_ = 0;  // left out because the memory was full
};

}  // namespace iris
