#include "tests/sim/shadow.h"

#include <algorithm>

namespace iris::sim {

void Shadow::forget() {
  entries_.clear();
  rows_.clear();
}

void Shadow::take_row(const Update& update) {
  rows_[{std::string(update.source), std::string(update.key)}] = {std::string(update.value),
                                                                  update.revision, 0};
}

void Shadow::end_state(std::uint64_t revision) {
  for (auto& [name, entry] : rows_) entry.seen = revision;
  entries_ = std::exchange(rows_, {});
}

void Shadow::take(const Update& update) {
  const Name name(update.source, update.key);
  if (update.op == Update::Op::remove) {
    entries_.erase(name);
  } else {
    entries_[name] = {std::string(update.value), update.revision, update.revision};
  }
}

Shadow::Cover Shadow::cover(const std::string& source, const std::string& key,
                            std::uint64_t changed, std::uint64_t revision) const {
  Cover cover;
  const SessionModel::Session* session = ghost_.sessions().find(session_);
  if (session == nullptr) return cover;
  for (const SessionModel::Subscription& each : session->standing) {
    if (each.since > revision || !each.covers(source, key)) continue;
    cover.since = std::min(cover.since, each.since);
    cover.single |= each.key.has_value() && each.since < changed;
  }
  return cover;
}

std::string Shadow::differs(std::uint64_t revision) const {
  std::string difference;
  ghost_.keys().for_each_key(revision, [&](const std::string& source, const std::string& key,
                                           std::uint64_t changed, bool present) {
    if (!difference.empty()) return;
    const Cover covered = cover(source, key, changed, revision);
    if (covered.since == SessionModel::never) return;
    const auto found = entries_.find({source, key});
    const bool known = found != entries_.end();
    // Only a state can hold a change that is older than the subscription.
    if (changed <= covered.since && (!known || found->second.seen < covered.since)) return;
    if (!present) {
      const bool untold = !marks_ && !covered.single;
      if (known && !untold) difference = source + "/" + key + " is not there";
    } else if (!known) {
      difference = source + "/" + key + " is missing";
    } else if (found->second.revision != changed) {
      difference = source + "/" + key + " is of " + std::to_string(found->second.revision) +
                   " and not of " + std::to_string(changed);
    }
  });
  return difference;
}

}  // namespace iris::sim
