// Admin: administrative calls (joins, removals, promotions, new addresses, transfers of leadership)
// from the call to its answer, whichever node leads.
// Loop thread. Owns the calls, at most calls_max of them. A call that this node cannot carry out is
// forwarded to the leader; the leader compares the call's goal with the configuration in force
// (next_change.h) and proposes what is missing until nothing is.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>

#include "src/node/host.h"
#include "src/node/writes.h"

namespace iris {

class Admin {
 public:
  Admin(NodeHost& host, Writes& writes) : host_(host), writes_(writes) {}

  // Node::admin(). `done` is called once. Errors: those of raft::Core::change() and transfer(),
  // unavailable (nothing was done), unknown_outcome, limit.
  void call(AdminRequest request, std::uint64_t deadline_ms, Node::AdminDone done);

  // --- From peers.
  void asked(raft::NodeId from, AdminRequest request);
  void answered(raft::NodeId from, const AdminReply& reply);

  // --- From the turn.
  void role_changed();
  void tick();
  void removed();  // this node is in no configuration any more
  void stop();

  [[nodiscard]] std::size_t size() const { return calls_.size(); }

 private:
  enum class Phase : std::uint8_t {
    waiting,       // for a leader
    forwarded,     // to the leader, under `forward_id`
    probing,       // the leader asks the address which node is there
    changing,      // compares, proposes what is missing, waits until it is in force
    proposed,      // an entry is on its way
    transferring,  // leadership is
  };
  struct Call {
    AdminRequest request;
    Node::AdminDone done;  // empty: a peer asked
    raft::NodeId peer;     // the peer that asked; of a call of this node, the leader it went to
    std::uint64_t deadline = 0;  // tick
    Phase phase = Phase::waiting;
    std::uint64_t forward_id = 0;
    raft::Level level;     // of the node that was probed
    bool renamed = false;  // the address was exchanged for the one by which the node calls itself
    // The latest attempt, or one before it, was forwarded or proposed and may have been done.
    bool attempted = false;
    // An attempt before the latest may have been done: a refusal of the latest proves nothing.
    bool attempted_before = false;
    std::string last_refusal;  // why it is not done yet
  };
  using Key = std::uint64_t;

  void add(Call call);
  void advance(Key key);
  void advance_all();
  void begin(Key key, Call& call);
  void begin_transfer(Key key, Call& call);
  void forward(Call& call, raft::NodeId leader);
  void probe(Key key, Call& call);
  void probed(Key key, const Result<PeerIdentity>& identity);
  void change(Key key, Call& call);
  void propose(Key key, Call& call, const raft::MemberChange& step);
  void changed(Key key, const Result<Outcome>& result);
  void watch_transfer(Key key, Call& call);
  void answer(Key key, Result<raft::NodeId> result);
  void expire();

  NodeHost& host_;
  Writes& writes_;
  std::map<Key, Call> calls_;
  Key last_key_ = 0;
  raft::NodeId known_leader_;
};

}  // namespace iris
