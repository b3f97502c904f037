// Leases: how long sessions live. A session that no node has served for -session-ttl is
// expired by a command that the leader proposes; the machine has no clock.
// Loop thread, on every node: each reports what it serves to the leader, the leader counts ticks. A
// new leader grants everybody a full term first, so a change of leader ends no session early.
// Owns, on the leader, one record a session.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "raft/types.h"
#include "src/machine/machine.h"
#include "store/store.h"

namespace iris {

struct LeasesOptions {
  std::uint32_t tick_ms = 10;              // what one tick() stands for
  std::uint64_t session_ttl_ms = 600'000;  // -session-ttl
  std::size_t expire_max = 1'000;          // sessions in one command
  std::size_t report_max = 1'000;          // sessions in one report
  std::size_t names_bytes_max = 1u << 20;  // their names, in either; one may pass it
  // What they are subscribed to, in one command: each is a removal that every node does at once.
  // One session may pass it, up to subscriptions_per_session_max.
  std::uint64_t expire_subscriptions_max = 10'000;
};

struct LeasesHooks {
  // Node::submit; what became of it does not matter: who is still there is tried again.
  std::function<void(ExpireSessions command)> propose;
  // Transport::send to the leader (a SessionsServed). Called on followers only.
  std::function<void(raft::NodeId leader, std::vector<std::string> sessions)> report;
  // Listeners::served.
  std::function<std::vector<std::string>()> served;
};

class Leases {
 public:
  // REQUIRES: the store outlives this, and is started before tick().
  Leases(LeasesOptions options, store::Store& store, LeasesHooks hooks);
  ~Leases();
  Leases(const Leases&) = delete;
  Leases& operator=(const Leases&) = delete;

  // `leader`: who leads as far as this node knows, 0: unknown. `leading`: this node does.
  void tick(raft::NodeId leader, raft::Term term, bool leading);
  // A Listen begins here (ListenersHooks::opened): the leader hears of it at the next tick.
  void opened(const std::string& session);
  // NodeHooks::on_sessions_served.
  void on_served(const std::vector<std::string>& sessions);
  // NodeHooks::on_applied.
  void on_applied(const raft::EntryPtr& entry, const Outcome& outcome);

  // Sessions this leader keeps terms for; 0 elsewhere.
  [[nodiscard]] std::size_t size() const;

 private:
  struct State;
  std::shared_ptr<State> state_;  // answers of the store find it gone, never dangling
};

}  // namespace iris
