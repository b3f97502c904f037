// Reads: when a read may be served from this node's own state. A linearizable read waits until the
// leader has confirmed, after the read came, that it still leads and how far it had committed
// (read index: thesis 6.4), and until that much is applied here.
// Loop thread. Owns the calls; reads no data. Reads that come while rounds are under way share the
// next round. A follower asks the leader once for each round, under an id of that round, and an
// answer under any other id is ignored (hazards 72-77).
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "src/node/host.h"
#include "src/node/waiting_call.h"

namespace iris {

class Reads {
 public:
  using Done = std::function<void(Status)>;

  explicit Reads(NodeHost& host);

  // Node::read().
  void read(Consistency consistency, std::uint64_t min_revision, std::uint64_t deadline_ms,
            Done done, WaitingCall* waiting = nullptr);
  // The call ends now: its caller is gone. REQUIRES: `waiting` is of a read.
  void abandon(const WaitingCall& waiting);

  // --- From peers.
  void asked(raft::NodeId from, ReadIndexRequest request);
  void answered(raft::NodeId from, ReadIndexReply reply);

  // --- From the turn.
  void begin_rounds();  // before the core's output of this turn is taken
  void granted(const raft::ReadGrant& grant);
  void applied();  // host.applied has grown
  void role_changed();
  void tick();
  void stop();

  // Rounds under way, and indexes that were granted and are not applied here yet.
  [[nodiscard]] std::size_t rounds() const { return rounds_.size() + granted_.size(); }

 private:
  struct Call {
    Done done;
    raft::Index min_revision;
    bool by_revision = false;  // waits in by_revision_
    WaitingCall* waiting = nullptr;
  };
  using Table = Waiters<Call>;
  struct Asker {  // a peer that asked for a read index
    raft::NodeId from;
    std::uint64_t id = 0;
  };
  // A round under way: of this node's own core where it leads, else of the leader.
  struct Round {
    raft::ReadId read;       // of the own core; 0: the leader was asked
    std::uint64_t id = 0;    // of the request to the leader
    raft::NodeId leader;     // that was asked
    std::uint64_t sent = 0;  // tick of the request
    Table::Queue calls;
    std::vector<Asker> askers;
  };

  WaiterHandle add(Call call, std::uint64_t deadline);
  void set_timeout(std::uint64_t ticks);
  void begin_own_round();
  void ask_leader(raft::NodeId leader);
  void begin(Round round);
  void end_round(std::size_t position, bool granted, raft::Index index);
  void collect_again(std::size_t position);
  void wait_until_applied(raft::Index index, Table::Queue queue);
  void forget_expired();
  void serve(Table::Queue queue);
  void refuse(std::vector<Asker>& askers);
  void finish(WaiterHandle handle, Status status);

  NodeHost& host_;
  Table calls_;
  Table::Queue collecting_;  // calls that wait for a round to begin
  std::vector<Asker> collecting_askers_;
  std::vector<Round> rounds_;                    // at most rounds_max, the oldest first
  std::vector<Table::Queue> spare_;              // empty, to be used again
  std::map<raft::Index, Table::Queue> granted_;  // calls that wait for an index to be applied
  std::set<std::pair<raft::Index, WaiterHandle>> by_revision_;  // each waits for its own
  // Ticks after which a round is asked anew: twice the time that the last answer took, doubled
  // after each that did not come. With a fixed time shorter than the answer takes, a read would
  // never end.
  std::uint64_t timeout_ = 0;
  std::uint64_t asked_ = 0;       // rounds that leaders were ever asked for
  std::uint64_t not_before_ = 0;  // tick: a round was refused just now
};

}  // namespace iris
