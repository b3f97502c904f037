// ServedSessions: the sessions with a Listen stream at this node, and those that had one within a
// lease, by the order of their changes.
// Loop thread. Owns one record for each of them.
//
// A new leader that was in step with the one before it needs no memory of what ended: only one
// that was not. So the memory is bounded in bytes, and the oldest go first.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "src/listeners/lease_messages.h"
#include "src/listeners/session_map.h"

namespace iris::listening {

struct LeaseTimes;
struct PieceLimits;

class ServedSessions {
 public:
  // Of sessions that ended: their names, and so much more for each.
  static constexpr std::size_t ended_bytes_max = 32u << 20;
  static constexpr std::size_t overhead_bytes = 256;

  void opened(std::string_view session);
  void closed(std::string_view session, std::uint64_t tick);
  // Forgets sessions that ended before `tick`, a bounded number of them.
  void forget_before(std::uint64_t tick);

  // Of the last change; 0: there was none.
  [[nodiscard]] std::uint64_t latest() const { return latest_; }
  // Puts a piece of the changes after `after` into `report.sessions` and `changes`, with `after`,
  // `up_to`, `latest` and `ended`.
  void fill(SessionsServed& report, ServedChanges& changes, std::uint64_t after,
            const PieceLimits& limits, const LeaseTimes& times, std::uint64_t now) const;

  [[nodiscard]] std::size_t size() const { return sessions_.size(); }

 private:
  struct Served {
    std::uint64_t number = 0;
    std::uint64_t ended = 0;  // 0: it has a stream
  };
  using Item = SessionMap<Served>::value_type;

  Item& change(std::string_view session);
  void forget_oldest();

  std::uint64_t latest_ = 0;
  SessionMap<Served> sessions_;
  std::map<std::uint64_t, const Item*> by_number_;
  std::map<std::uint64_t, const Item*> ended_;  // by number, and so in the order of their ticks
  std::size_t ended_bytes_ = 0;
};

}  // namespace iris::listening
