// LeasesNode: the leases of one node, node 1, over the cluster's store; what it would send and
// propose is kept for the test. ttl 1 s, ticks of 10 ms, so that a lease has 16 reports.
#pragma once

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "src/listeners/leases.h"
#include "tests/listeners/harness.h"

namespace iris::testing {

using Names = std::vector<std::string>;

inline LeasesOptions small(std::size_t sessions_in_a_piece = 1'000) {
  LeasesOptions options;
  options.session_ttl_ms = 1'000;
  options.piece.sessions_max = sessions_in_a_piece;
  return options;
}

struct LeasesNode {
  explicit LeasesNode(Cluster& of, LeasesOptions options = small())
      : cluster(of),
        leases(options, *of.store,
               {[this](ExpireSessions command) { proposed.push_back(std::move(command)); },
                [this](raft::NodeId to, SessionsServed message) {
                  sent.emplace_back(to, std::move(message));
                },
                [this]() -> const raft::Members& { return members; }}) {}

  void tick(std::uint64_t ms, raft::NodeId leader, raft::Term term, bool leading) {
    for (std::uint64_t passed = 0; passed < ms; passed += 10) {
      leases.tick(leader, term, leading);
      cluster.store->settle();
    }
  }
  void lead(std::uint64_t ms, raft::Term term = {1}) { tick(ms, {1}, term, true); }
  void follow(std::uint64_t ms, raft::NodeId leader = {2}, raft::Term term = {1}) {
    tick(ms, leader, term, false);
  }
  // As a node does with an entry of the log.
  Outcome apply(const Operation& operation) {
    const Outcome outcome = cluster.apply(operation);
    leases.on_applied(cluster.log.back(), outcome);
    return outcome;
  }
  Names take_proposed() {
    Names sessions;
    for (const auto& command : std::exchange(proposed, {})) {
      sessions.insert(sessions.end(), command.sessions.begin(), command.sessions.end());
    }
    std::sort(sessions.begin(), sessions.end());
    return sessions;
  }
  // From a follower of a former build.
  void served(Names sessions, raft::NodeId by = {3}) { leases.on_told(by, {std::move(sessions)}); }
  void reported(raft::NodeId by, ServedChanges changes, Names sessions = {}) {
    changes.life = by.value;
    changes.latest = true;
    leases.on_told(by, {std::move(sessions), std::move(changes)});
  }
  // From the leader, node 2.
  void told(LeaseChanges changes) {
    changes.life = 1;
    leases.on_told({2}, {{}, std::nullopt, std::move(changes)});
  }
  std::vector<std::pair<raft::NodeId, SessionsServed>> take_sent() {
    return std::exchange(sent, {});
  }
  // As the last report says, for a leader that answers it.
  std::uint64_t take_sent_time() { return take_sent().back().second.changes->sent; }

  Cluster& cluster;
  raft::Members members{{{{1}, "a:1"}}, {}, {}};
  std::vector<ExpireSessions> proposed;
  std::vector<std::pair<raft::NodeId, SessionsServed>> sent;
  Leases leases;
};

inline raft::Members members(std::size_t count) {
  raft::Members all;
  for (std::size_t i = 1; i <= count; ++i) all.voters.push_back({{i}, std::to_string(i) + ":1"});
  return all;
}

}  // namespace iris::testing
