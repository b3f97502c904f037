// Serving: the Listeners and Leases of production, wired to node, store and transport as in
// src/server/wiring.cc.
// One thread. Owns both, for one life of a process. A stream is an UpdateStream, here a FeedStream.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "src/listeners/leases.h"
#include "src/listeners/listeners.h"
#include "src/node/transport.h"
#include "src/server/node_history.h"

namespace iris::sim {

class Host;

class Serving {
 public:
  // REQUIRES: the host's node, store and transport are those of this life, and outlive this.
  explicit Serving(Host& host);
  ~Serving();
  Serving(const Serving&) = delete;
  Serving& operator=(const Serving&) = delete;

  void start() { listeners_.start(); }  // after Node::start()
  void tick();
  void on_applied(const raft::EntryPtr& entry, const Outcome& outcome);
  void on_installed(raft::Index index) { listeners_.on_installed(index); }
  void on_trimmed(raft::Index floor) { listeners_.on_trimmed(floor); }
  void on_sessions_served(raft::NodeId from, const SessionsServed& served) {
    leases_.on_told(from, served);
  }

  [[nodiscard]] Listeners& listeners() { return listeners_; }
  // The session has had a stream here for so long that the leader must have heard of it.
  [[nodiscard]] bool must_be_known(const std::string& session, raft::NodeId leader) const;

 private:
  [[nodiscard]] ListenersHooks listeners_hooks();
  [[nodiscard]] LeasesHooks leases_hooks();
  void pump();
  void look_at_leader();
  void judge(const ExpireSessions& command) const;

  Host& host_;
  const std::uint64_t life_;
  std::unique_ptr<NodeHistory> history_;
  bool pump_scheduled_ = false;
  std::map<std::string, std::uint64_t, std::less<>> opened_us_;  // streams
  // Nothing has stood between this node and that leader since then; looked at by each tick.
  raft::NodeId leader_;
  std::uint64_t connections_ = 0;
  std::uint64_t in_touch_us_ = 0;
  std::uint64_t looked_us_ = 0;
  Listeners listeners_;
  Leases leases_;
};

}  // namespace iris::sim
