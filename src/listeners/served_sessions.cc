#include "src/listeners/served_sessions.h"

#include <algorithm>

#include "raft/check.h"
#include "src/listeners/lease_times.h"
#include "src/listeners/piece_limits.h"

namespace iris::listening {
namespace {

constexpr std::size_t forget_max = 1'000;  // of one call

std::size_t cost(std::string_view session) {
  return session.size() + ServedSessions::overhead_bytes;
}

}  // namespace

// The session's change is the last one now.
ServedSessions::Item& ServedSessions::change(std::string_view session) {
  auto found = sessions_.find(session);
  if (found == sessions_.end()) {
    found = sessions_.emplace(session, Served()).first;
  } else {
    by_number_.erase(found->second.number);
    if (ended_.erase(found->second.number) > 0) ended_bytes_ -= cost(session);
  }
  found->second.number = ++latest_;
  by_number_.emplace_hint(by_number_.end(), latest_, &*found);
  return *found;
}

void ServedSessions::opened(std::string_view session) { change(session).second.ended = 0; }

void ServedSessions::closed(std::string_view session, std::uint64_t tick) {
  CHECK(tick > 0 && sessions_.contains(session));
  Item& item = change(session);
  item.second.ended = tick;
  ended_.emplace_hint(ended_.end(), latest_, &item);
  ended_bytes_ += cost(session);
  while (ended_bytes_ > ended_bytes_max) forget_oldest();
}

void ServedSessions::forget_oldest() {
  const auto oldest = ended_.begin();
  const std::string session = oldest->second->first;
  ended_bytes_ -= cost(session);
  by_number_.erase(oldest->first);
  ended_.erase(oldest);
  sessions_.erase(session);
}

void ServedSessions::forget_before(std::uint64_t tick) {
  for (std::size_t count = 0; count < forget_max && !ended_.empty(); ++count) {
    if (ended_.begin()->second->second.ended >= tick) return;
    forget_oldest();
  }
}

void ServedSessions::fill(SessionsServed& report, ServedChanges& changes, std::uint64_t after,
                          const PieceLimits& limits, const LeaseTimes& times,
                          std::uint64_t now) const {
  Piece piece(limits);
  changes.after = changes.up_to = after;
  auto next = by_number_.upper_bound(after);
  for (; next != by_number_.end() && piece.add(next->second->first.size()); ++next) {
    const auto& [session, served] = *next->second;
    if (served.ended == 0) {
      report.sessions.push_back(session);
    } else {
      changes.ended.push_back({session, times.ms_since(served.ended, now)});
    }
    changes.up_to = next->first;
  }
  changes.latest = next == by_number_.end();
  if (changes.latest) changes.up_to = std::max(after, latest_);
}

}  // namespace iris::listening
