#include "src/listeners/lease_replica.h"

#include <algorithm>

#include "src/listeners/lease_times.h"

namespace iris::listening {

LeaseReplica::Record& LeaseReplica::record_of(std::string_view session) {
  const auto found = sessions_.find(session);
  return found != sessions_.end() ? found->second : sessions_[std::string(session)];
}

void LeaseReplica::take(const LeaseChanges& changes, const LeaseTimes& times, std::uint64_t now) {
  if (term_ != changes.term) {
    term_ = changes.term;
    known_.begin_anew();
  }
  const bool begins = known_.up_to() == 0 && changes.after == 0;
  if (begins && (changes.up_to > 0 || changes.latest)) begin_pass();
  if (known_.take(changes.after, changes.up_to)) {
    for (const SilentSession& silent : changes.silent) {
      silent_since(silent.session, times.tick_before(silent.silent_ms, now), pass_);
    }
    for (const std::string& session : changes.served) {
      const auto found = sessions_.find(session);
      if (found != sessions_.end()) found->second.silent = false;
    }
  }
  nodes_.clear();
  for (const SilentNode& silent : changes.nodes) {
    nodes_[silent.node] = times.tick_before(silent.silent_ms, now);
  }
  // The leader had heard `sent` when it wrote this, so it is no older than that.
  const bool in_step = !known_.missed() && changes.latest && changes.up_to == known_.up_to();
  if (in_step) complete(pass_, std::min(changes.sent, now));
}

void LeaseReplica::complete(std::uint64_t pass, std::uint64_t then) {
  valid_from_ = pass;
  in_step_at_ = std::max(in_step_at_.value_or(0), then);
}

void LeaseReplica::acknowledge(raft::Term term, ServedChanges& report) const {
  const bool told = term == term_;
  report.known = told ? known_.up_to() : 0;
  report.missed = told && known_.missed();
}

void LeaseReplica::subscribed(std::string_view session, std::uint64_t now) {
  record_of(session).alive = now;
}

void LeaseReplica::expired(std::string_view session) {
  const auto found = sessions_.find(session);
  if (found != sessions_.end()) sessions_.erase(found);
}

// --- Of this node's own.

std::uint64_t LeaseReplica::begin_own() {
  term_ = {};
  known_.begin_anew();
  begin_pass();
  nodes_.clear();
  return pass_;
}

void LeaseReplica::silent_since(std::string_view session, std::uint64_t since, std::uint64_t pass) {
  Record& record = record_of(session);
  record.alive = std::max(record.alive, since);
  record.pass = std::max(record.pass, pass);
  record.silent = true;
}

void LeaseReplica::complete_own(std::uint64_t pass, std::uint64_t then) {
  if (pass == pass_) complete(pass, then);
}

// --- For a new leader.

std::optional<std::uint64_t> LeaseReplica::silent_since(std::string_view session) const {
  const auto found = sessions_.find(session);
  if (found == sessions_.end()) return std::nullopt;
  const Record& record = found->second;
  if (!record.silent || record.pass < valid_from_) return std::nullopt;
  return record.alive;
}

std::optional<std::uint64_t> LeaseReplica::silent_since(raft::NodeId node) const {
  const auto found = nodes_.find(node);
  if (found == nodes_.end()) return std::nullopt;
  return found->second;
}

}  // namespace iris::listening
