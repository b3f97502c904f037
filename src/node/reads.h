// Reads: when a read may be served from this node's own state. A linearizable one waits until the
// leader has confirmed, after the read was asked for, that it still leads and how far it had
// committed (thesis 6.4), and until that much is applied here.
// Loop thread. Owns the calls. All reads of a turn share one round; a round is asked for once,
// under an id of its own, and an answer to any other id is nobody's (hazards 72-77). Reads no data.
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

  void read(Consistency consistency, std::uint64_t min_revision, std::uint64_t deadline_ms,
            Done done, WaitingCall* waiting = nullptr);
  // The call ends now: its caller is gone. REQUIRES: `waiting` is of a read.
  void abandon(const WaitingCall& waiting);

  // --- From peers.
  void asked(raft::NodeId from, ReadIndexRequest request);
  void answered(raft::NodeId from, ReadIndexReply reply);

  // --- From the turn.
  void begin_rounds();  // before the core's output is taken
  void granted(const raft::ReadGrant& grant);
  void applied();  // host.applied has grown
  void role_changed();
  void tick();
  void stop();

  // Under way, and granted ones whose calls wait until that much is applied.
  [[nodiscard]] std::size_t rounds() const { return rounds_.size() + granted_.size(); }

 private:
  struct Call {
    Done done;
    raft::Index min_revision;
    bool by_revision = false;  // in by_revision_
    WaitingCall* waiting = nullptr;
  };
  using Table = Waiters<Call>;
  struct Asker {  // a peer that asked for a read index
    raft::NodeId from;
    std::uint64_t id = 0;
  };
  // Under way: confirmed by the own core, or asked of another node.
  struct Round {
    raft::ReadId read;  // 0: asked of `leader`
    std::uint64_t id = 0;
    raft::NodeId leader;
    std::uint64_t sent = 0;  // tick
    Table::Line calls;
    std::vector<Asker> askers;
  };

  WaiterHandle add(Call call, std::uint64_t deadline);
  void set_patience(std::uint64_t ticks);
  void begin_own_round();
  void ask_leader(raft::NodeId leader);
  void begin(Round round);
  void end_round(std::size_t position, bool granted, raft::Index index);
  void collect_again(std::size_t position);
  void wait_until_applied(raft::Index index, Table::Line line);
  void forget_expired();
  void serve(Table::Line line);
  void refuse(std::vector<Asker>& askers);
  void finish(WaiterHandle handle, Status status);

  NodeHost& host_;
  Table calls_;
  Table::Line collecting_;  // waits for a round to begin
  std::vector<Asker> collecting_askers_;
  std::vector<Round> rounds_;                   // at most rounds_max, oldest first
  std::vector<Table::Line> spare_;              // empty lines
  std::map<raft::Index, Table::Line> granted_;  // waits for this index to be applied
  std::set<std::pair<raft::Index, WaiterHandle>> by_revision_;  // the same, one call each
  // How long an answer may take, in ticks: twice what the last one took, and twice as long again
  // after each that did not come. Asked anew sooner than it can be answered, a read never would be.
  std::uint64_t patience_ = 0;
  std::uint64_t asked_ = 0;       // rounds ever asked of others
  std::uint64_t not_before_ = 0;  // tick: somebody just refused
};

}  // namespace iris
