// Admin: membership changes, joins and transfers from the call to their end, wherever the leader
// is; and the leader's own errands: promoting newcomers that caught up. Loop thread. Owns the
// calls. A change is described by what it wants; each step compares that with the configuration in
// force, so a step may be repeated, and a new leader goes on where the old one stopped (hazards 52,
// 57).
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>

#include "src/node/host.h"
#include "src/node/writes.h"

namespace iris {

class Admin {
 public:
  Admin(NodeHost& host, Writes& writes) : host_(host), writes_(writes) {}

  void call(AdminRequest request, std::uint64_t deadline_ms, Node::AdminDone done);

  // --- From peers.
  void asked(raft::NodeId from, AdminRequest request);
  void answered(raft::NodeId from, const AdminReply& reply);

  // `member` is where the members do not look for it; the leader asks there who it is.
  void moved(const raft::Member& member);

  // --- From the turn.
  void role_changed();
  void tick();
  void dismissed();  // this node is in no configuration any more
  void stop();

  [[nodiscard]] std::size_t size() const { return calls_.size(); }

 private:
  enum class Phase : std::uint8_t {
    waiting,       // for a leader
    forwarded,     // to the leader, under `forward_id`
    probing,       // the leader asks the address who is there
    changing,      // compares, proposes what is missing, waits until it is in force
    proposed,      // an entry is on its way
    transferring,  // leadership is
  };
  struct Call {
    AdminRequest request;
    Node::AdminDone done;  // empty: a peer asked
    raft::NodeId peer;
    std::uint64_t deadline = 0;
    Phase phase = Phase::waiting;
    std::uint64_t forward_id = 0;
    bool named = false;        // the address was exchanged for what the node calls itself
    bool ever_sent = false;    // forwarded or proposed: no longer certain that nothing was done,
    bool doubtful = false;     // nor would a refusal of the latest attempt make it so again
    std::string last_refusal;  // why it is not done yet
  };
  using Key = std::uint64_t;

  void add(Call call);
  void advance(Key key);
  void begin(Key key, Call& call);
  void forward(Call& call, raft::NodeId leader);
  void probe(Key key, Call& call);
  void probed(Key key, Result<PeerIdentity> identity);
  void change(Key key, Call& call);
  void changed(Key key, const Result<Outcome>& result);
  void watch_transfer(Key key, const Call& call);
  void answer(Key key, Result<raft::NodeId> result);
  void expire();
  void promote_newcomer();
  void announce_address();
  void announce(const raft::Member& member);

  // What is missing for the call to be done; none: nothing.
  [[nodiscard]] Result<std::optional<raft::MemberChange>> missing(const Call& call) const;
  // The latest configuration is committed and not joint.
  // Errc::busy: not yet.
  [[nodiscard]] Result<raft::Promote> promotion(raft::NodeId learner) const;

  NodeHost& host_;
  Writes& writes_;
  std::map<Key, Call> calls_;
  Key last_key_ = 0;
  raft::NodeId known_leader_;
  std::uint64_t promote_at_ = 0;  // ticks
  std::uint64_t promote_pause_ = 0;
  std::uint64_t announce_at_ = 0;
  std::uint64_t announce_other_at_ = 0;
};

}  // namespace iris
