// LeaseLeader: the leases of one term of leadership. It hears from nodes what they serve, expires
// what none serves, and tells each what it would need to lead next.
// Loop thread. Owns the table; borrows store and replica. A turn takes a bounded piece of work.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "src/listeners/alive.h"
#include "src/listeners/differences.h"
#include "src/listeners/lease_table.h"
#include "src/listeners/lease_times.h"
#include "src/listeners/leases.h"

namespace iris::listening {

class LeaseReplica;

class LeaseLeader {
 public:
  // REQUIRES: all references outlive this.
  LeaseLeader(const LeasesOptions& options, const LeaseTimes& times, store::Store& store,
              const LeasesHooks& hooks, const LeaseReplica& replica, raft::Term term,
              raft::NodeId self, std::uint64_t now, std::uint64_t applied);

  void tick(std::uint64_t now, std::uint64_t applied);
  // From a peer, or from this node itself.
  void receive(raft::NodeId from, const SessionsServed& report);
  void on_applied(const CommandView& command, const Outcome& outcome, std::uint64_t index);
  // Leads no more: the table, and how long nodes were silent.
  [[nodiscard]] std::unique_ptr<LeaseTable> retire(LeaseReplica& into);

  [[nodiscard]] raft::Term term() const { return term_; }
  [[nodiscard]] std::size_t size() const { return table_->size(); }

 private:
  struct Peer {
    // --- What it serves.
    std::uint64_t life = 0;   // 0: it has reported nothing yet
    std::uint64_t pass = 1;   // see ServingPass
    std::uint64_t over = 0;   // passes before this one ended then
    std::uint64_t heard = 0;  // by this leader or, as far as is known, one before it
    Known known;
    bool complete = false;  // all that it serves is known
    bool former = false;    // a build that reports everything each time
    // --- What it is told.
    Told told;
    bool begun = false;
    std::uint64_t never_silent = 0;  // see LeaseTable::fill()
    std::uint64_t sent = 0;
    bool due = false;  // an answer
  };

  void load(std::string after);
  void hear(Peer& peer, raft::NodeId node, const SessionsServed& report);
  void hear_former(Peer& peer, const std::vector<std::string>& sessions);
  void begin_pass(Peer& peer) const;
  void end_pass(Peer& peer);
  void watch();
  void sweep();
  void tell(raft::NodeId to, Peer& peer);
  void fill(LeaseChanges& changes, raft::NodeId to, Peer& peer);
  [[nodiscard]] bool may_tell();
  [[nodiscard]] bool may_expire();
  [[nodiscard]] bool all_heard(std::uint64_t patience) const;
  void expire();

  const LeasesOptions& options_;
  const LeaseTimes& times_;
  store::Store& store_;
  const LeasesHooks& hooks_;
  const LeaseReplica& replica_;
  const raft::Term term_;
  const raft::NodeId self_;
  const std::uint64_t begun_;
  const bool in_step_;  // the replica has what the former leader knew
  std::uint64_t now_;   // as in Leases
  std::uint64_t applied_;
  bool loaded_ = false;
  bool may_tell_ = false;
  bool may_expire_ = false;
  std::uint64_t proposed_ = 0;
  std::unique_ptr<LeaseTable> table_ = std::make_unique<LeaseTable>();
  std::map<raft::NodeId, Peer> peers_;  // members, this node included
  bool sweeping_ = false;
  std::uint64_t swept_ = 0;

  const Alive alive_;
};

}  // namespace iris::listening
