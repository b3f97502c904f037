// LeaseReplica: what this node was told of the sessions that no node serves, by each leader in
// turn, so that it goes on with their leases when it leads itself.
// Loop thread. Owns one record for each such session, and for each that subscribed since this node
// runs.
//
// A leader tells everything once, in pieces, then the differences. Such a telling is a pass. Until
// it is complete, what was told in the one before counts too; afterwards that is void.
// A time may only become later here: what is told late, or rounded, lengthens a lease.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string_view>

#include "src/listeners/differences.h"
#include "src/listeners/lease_messages.h"
#include "src/listeners/session_map.h"

namespace iris::listening {

struct LeaseTimes;

class LeaseReplica {
 public:
  // From the leader. `now`: in ticks of this node, as in all calls.
  void take(const LeaseChanges& changes, const LeaseTimes& times, std::uint64_t now);
  // What the leader of `term` is told of the changes that are known here.
  void acknowledge(raft::Term term, ServedChanges& report) const;
  // A command was applied: a Subscribe; an ExpireSessions that named it.
  void subscribed(std::string_view session, std::uint64_t now);
  void expired(std::string_view session);

  // --- From this node itself, which led until now: a pass of its own.
  [[nodiscard]] std::uint64_t begin_own();
  void silent_since(std::string_view session, std::uint64_t since, std::uint64_t pass);
  void silent_since(raft::NodeId node, std::uint64_t since) { nodes_[node] = since; }
  void complete_own(std::uint64_t pass, std::uint64_t then);

  // --- For this node as a new leader.
  // All that was known to a leader at this time is known here; none: nothing.
  [[nodiscard]] std::optional<std::uint64_t> in_step_at() const { return in_step_at_; }
  // None: served as far as is known, or not known.
  [[nodiscard]] std::optional<std::uint64_t> silent_since(std::string_view session) const;
  [[nodiscard]] std::optional<std::uint64_t> silent_since(raft::NodeId node) const;

 private:
  struct Record {
    std::uint64_t alive = 0;  // the last time at which it showed life
    std::uint64_t pass = 0;   // in which it was told
    bool silent = false;      // since then
  };

  Record& record_of(std::string_view session);
  void begin_pass() { ++pass_; }
  void complete(std::uint64_t pass, std::uint64_t then);

  raft::Term term_;  // of the leader that tells
  Known known_;
  std::uint64_t pass_ = 0;
  std::uint64_t valid_from_ = 0;  // records of earlier passes are void
  std::optional<std::uint64_t> in_step_at_;
  SessionMap<Record> sessions_;
  std::map<raft::NodeId, std::uint64_t> nodes_;  // that were silent when they were told last
};

}  // namespace iris::listening
