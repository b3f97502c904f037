// Leases: how long sessions live. A session that no node has served for -session-ttl is expired by
// a command that the leader proposes; the machine has no clock.
// Loop thread, on every node. A turn takes a bounded piece of work.
//
// Each node tells the leader which sessions it serves: all of them to a new leader, then what
// changes, and that it is there (SessionsServed, ServedChanges). A lease counts, in the leader's
// ticks, from the end of the session's last stream; or from when its node was silent for a quarter
// of a lease, or four seconds.
// The leader tells every node since when sessions are silent (LeaseChanges). So the next one goes
// on with their leases: a session that nobody listens to lives no longer because leaders change.
//
// What is uncertain makes a lease longer, never shorter:
// - A new leader waits until each member has reported, or was silent for long enough to serve
//   nothing. A report has also what the node served within the last lease.
// - A session that it was not told of as silent has a whole lease. So have all, where it was not in
//   step with the leader before it for half a lease.
// - Times are rounded down, and count from the arrival of a message.
// One thing may be lost: a stream that began so shortly before its node and the leader died
// together that no other node heard of it. Its session keeps what it had.
//
// The leader's -session-ttl decides; nodes with another one report too rarely, or too often.
// Owns, on every node, a record for each session that it serves or was told of; on the leader, one
// more for each session.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string_view>

#include "raft/types.h"
#include "src/listeners/differences.h"
#include "src/listeners/lease_messages.h"
#include "src/listeners/lease_replica.h"
#include "src/listeners/lease_times.h"
#include "src/listeners/piece_limits.h"
#include "src/listeners/served_sessions.h"
#include "src/machine/machine.h"
#include "store/store.h"

namespace iris {

struct LeasesOptions {
  std::uint32_t tick_ms = 10;              // the time between two tick()
  std::uint64_t session_ttl_ms = 600'000;  // -session-ttl
  std::uint64_t life = 1;                  // of this node: another one at each start, not 0
  listening::PieceLimits piece;            // of a message between nodes
  std::size_t expire_max = 1'000;          // sessions in one command
  std::size_t names_bytes_max = 1u << 20;  // of their names; a single session may exceed it
  // Subscriptions that end with one command: each is a deletion that every node does at once. A
  // single session may exceed it, up to subscriptions_per_session_max.
  std::uint64_t expire_subscriptions_max = 10'000;
  // And bytes of their names, up to subscription_bytes_per_session_max of a single session.
  std::uint64_t expire_subscription_bytes_max = 4u << 20;
};

struct LeasesHooks {
  // Node::submit. Its outcome does not matter: a session that is still there is tried again.
  std::function<void(ExpireSessions command)> propose;
  // Transport::send.
  std::function<void(raft::NodeId to, SessionsServed message)> send;
  // Core::members.
  std::function<const raft::Members&()> members;
};

namespace listening {
class LeaseLeader;
class LeaseTable;
}  // namespace listening

class Leases {
 public:
  // REQUIRES: the store outlives this, and is started before tick().
  Leases(LeasesOptions options, store::Store& store, LeasesHooks hooks);
  ~Leases();
  Leases(const Leases&) = delete;
  Leases& operator=(const Leases&) = delete;

  // `leader`: the leader as far as this node knows, 0: unknown. `leading`: it is this node.
  void tick(raft::NodeId leader, raft::Term term, bool leading);
  // A Listen begins or ends here (ListenersHooks): the leader is told at the next tick.
  void opened(std::string_view session) { served_.opened(session); }
  void closed(std::string_view session) { served_.closed(session, now_); }
  // NodeHooks::on_sessions_served.
  void on_told(raft::NodeId from, const SessionsServed& message);
  // NodeHooks::on_applied.
  void on_applied(const raft::EntryPtr& entry, const Outcome& outcome);

  // Sessions with a lease from this leader; 0 on other nodes.
  [[nodiscard]] std::size_t size() const;

 private:
  void lead(raft::NodeId self, raft::Term term);
  void retire();
  void dissolve();
  void report(bool anew);
  void send_report();

  const LeasesOptions options_;
  const listening::LeaseTimes times_;
  store::Store& store_;
  const LeasesHooks hooks_;
  std::uint64_t now_ =
      listening::first_tick;  // the coming tick: what is between two counts as then
  std::uint64_t applied_ = 0;

  // --- To the leader.
  raft::NodeId leader_;
  raft::Term term_;
  listening::ServedSessions served_;
  listening::Told told_;
  std::uint64_t reported_ = 0;  // tick
  bool due_ = false;            // an answer to what the leader told

  // --- For a next leader.
  listening::LeaseReplica replica_;
  struct Former {  // a table of this node's, to be told to the replica
    std::unique_ptr<listening::LeaseTable> table;
    std::uint64_t pass = 0;
    std::uint64_t ended = 0;  // tick
  };
  std::deque<Former> former_;

  std::unique_ptr<listening::LeaseLeader> leading_;  // on the leader
};

}  // namespace iris
