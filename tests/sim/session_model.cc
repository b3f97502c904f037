#include "tests/sim/session_model.h"

#include <algorithm>
#include <utility>

#include "raft/check.h"

namespace iris::sim {

bool SessionModel::knows(const Operation& operation) {
  return std::holds_alternative<Subscribe>(operation) ||
         std::holds_alternative<Unsubscribe>(operation) ||
         std::holds_alternative<ExpireSessions>(operation);
}

Outcome SessionModel::apply(const Operation& operation, std::uint64_t revision) {
  CHECK(knows(operation));
  if (const auto* begin = std::get_if<Subscribe>(&operation)) return subscribe(*begin, revision);
  if (const auto* end = std::get_if<Unsubscribe>(&operation)) return unsubscribe(*end, revision);
  return expire(std::get<ExpireSessions>(operation), revision);
}

const SessionModel::Session* SessionModel::find(const std::string& session) const {
  const auto found = sessions_.find(session);
  return found == sessions_.end() ? nullptr : &found->second;
}

Outcome SessionModel::subscribe(const Subscribe& operation, std::uint64_t revision) {
  Session& session = sessions_[operation.session];
  if (!std::exchange(session.known, true)) session.known_since = revision;
  session.subscribed = revision;
  const bool stands =
      std::any_of(session.standing.begin(), session.standing.end(), [&](const Subscription& each) {
        return each.source == operation.source && each.key == operation.key;
      });
  if (!stands) {
    session.standing.push_back({operation.source, operation.key, revision, never});
  }
  return {Outcome::Code::done, !stands, revision};
}

Outcome SessionModel::unsubscribe(const Unsubscribe& operation, std::uint64_t revision) {
  const auto found = sessions_.find(operation.session);
  if (found == sessions_.end()) return {Outcome::Code::done, false, revision};
  Session& session = found->second;
  const auto standing =
      std::find_if(session.standing.begin(), session.standing.end(), [&](const Subscription& each) {
        return each.source == operation.source && each.key == operation.key;
      });
  if (standing == session.standing.end()) return {Outcome::Code::done, false, revision};
  standing->until = revision;
  session.ended.push_back(std::move(*standing));
  session.standing.erase(standing);
  return {Outcome::Code::done, true, revision};
}

Outcome SessionModel::expire(const ExpireSessions& operation, std::uint64_t revision) {
  bool changed = false;
  for (const std::string& name : operation.sessions) {
    const auto found = sessions_.find(name);
    if (found == sessions_.end() || !found->second.known) continue;
    Session& session = found->second;
    if (session.subscribed > operation.up_to) continue;  // it has subscribed again meanwhile
    for (Subscription& each : session.standing) {
      each.until = revision;
      session.ended.push_back(std::move(each));
    }
    session.standing.clear();
    session.known = false;
    session.expired = revision;
    ++expirations_;
    changed = true;
  }
  return {Outcome::Code::done, changed, revision};
}

}  // namespace iris::sim
