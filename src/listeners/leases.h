// Leases: how long sessions live. A session that no node has served for -session-ttl is expired by
// a command that the leader proposes; the machine has no clock.
// Loop thread, on every node: each node reports the sessions that it serves to the leader, and the
// leader counts ticks. A lease counts from the last report, and reports come every quarter of
// -session-ttl, so a session ends between three quarters and the whole of it after its stream. A
// new leader begins with a full lease for every session: a change of leader ends none early. The
// leader's -session-ttl decides; nodes with a much longer one report too rarely.
// Owns, on the leader, one record for each session.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "raft/types.h"
#include "src/listeners/alive.h"
#include "src/machine/machine.h"
#include "store/store.h"

namespace iris {

struct LeasesOptions {
  std::uint32_t tick_ms = 10;              // the time between two tick()
  std::uint64_t session_ttl_ms = 600'000;  // -session-ttl
  std::size_t expire_max = 1'000;          // sessions in one command
  std::size_t report_max = 1'000;          // sessions in one report
  std::size_t names_bytes_max = 1u << 20;  // of their names, in a command or a report; a single
                                           // session may exceed it
  // Subscriptions that end with one command: each is a deletion that every node does at once. A
  // single session may exceed it, up to subscriptions_per_session_max.
  std::uint64_t expire_subscriptions_max = 10'000;
  // And bytes of their names, up to subscription_bytes_per_session_max of a single session.
  std::uint64_t expire_subscription_bytes_max = 4u << 20;
};

struct LeasesHooks {
  // Node::submit. Its outcome does not matter: a session that is still there is tried again.
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
  Leases(const Leases&) = delete;
  Leases& operator=(const Leases&) = delete;

  // `leader`: the leader as far as this node knows, 0: unknown. `leading`: it is this node.
  void tick(raft::NodeId leader, raft::Term term, bool leading);
  // A Listen begins here (ListenersHooks::opened): the leader is told at the next tick.
  void opened(const std::string& session) { opened_.push_back(session); }
  // NodeHooks::on_sessions_served. Ignored on a node that does not lead.
  void on_served(const std::vector<std::string>& sessions);
  // NodeHooks::on_applied.
  void on_applied(const raft::EntryPtr& entry, const Outcome& outcome);

  // Sessions with a lease from this leader; 0 on other nodes.
  [[nodiscard]] std::size_t size() const { return by_session_.size(); }

 private:
  struct Lease {
    std::string session;
    std::uint64_t renewed_tick = 0;
    std::uint64_t subscribed = 0;  // revision of its last Subscribe, as far as known
    // About how many it has: the store may count some that are counted again when they are applied.
    std::uint64_t subscriptions = 0;
    std::uint64_t subscription_bytes = 0;  // likewise
    bool expiring = false;                 // in expiring_, else in leases_
  };
  using LeaseList = std::list<Lease>;

  [[nodiscard]] std::uint64_t ttl_ticks() const;
  [[nodiscard]] std::uint64_t report_ticks() const;
  void report(std::vector<std::string> sessions);

  // --- On a leader.
  void lead(raft::Term term);
  void load(std::string after);
  void hear(const std::vector<std::string>& sessions);
  Lease& renew(std::string_view session, std::uint64_t subscribed);
  void renew(LeaseList::iterator lease);
  void expire();
  [[nodiscard]] ExpireSessions next_command();
  void forget(std::string_view session, std::uint64_t up_to);
  [[nodiscard]] LeaseList& list_of(const Lease& lease) {
    return lease.expiring ? expiring_ : leases_;
  }

  const LeasesOptions options_;
  store::Store& store_;
  const LeasesHooks hooks_;
  std::uint64_t tick_ = 0;
  std::uint64_t applied_ = 0;

  raft::NodeId leader_;
  std::uint64_t reported_tick_ = 0;
  std::vector<std::string> opened_;  // since the last report

  raft::Term leading_;  // 0: this node does not lead, and nothing below is used
  bool loaded_ = false;
  LeaseList leases_;    // the one not renewed for longest is in front
  LeaseList expiring_;  // named by a command that is not applied yet
  std::uint64_t proposed_tick_ = 0;
  // The keys are views into the lists. Looked up, never walked: its order is not the same in every
  // run.
  std::unordered_map<std::string_view, LeaseList::iterator> by_session_;

  const listening::Alive alive_;
};

}  // namespace iris
