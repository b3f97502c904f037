// Contacts: whom this node talks to, and how it comes to belong to a cluster. Keeps the transport's
// list of peers: the members, those who were members a moment ago (they must hear of it), and those
// who said who they are and need an answer.
// Loop thread. A node of no cluster joins the one that sends it Raft messages: nobody does that
// before a leader has admitted it under its id. It takes part once that is on disk, not before. It
// is admitted only once that entry is committed: till then it may be lost with its leader.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "src/node/host.h"

namespace iris {

class Contacts {
 public:
  explicit Contacts(NodeHost& host) : host_(host) {}

  // The core exists now.
  void start();
  // REQUIRES: of no cluster, and not about to be of one.
  void bootstrap();
  [[nodiscard]] bool initialized() const;
  [[nodiscard]] bool admitted() const;
  // A member says that this node is none, which was never admitted.
  void disowned(raft::NodeId by);

  Status greet(const PeerIdentity& peer);
  // A Raft message from `peer` while this node takes no part.
  void invited(raft::NodeId peer);

  // Something came from `peer`: it is where it said it is.
  void heard(raft::NodeId peer);
  // A member that has been at another address than the members agreed on for a while: the leader
  // may not know, and the member may not know who leads.
  [[nodiscard]] std::optional<raft::Member> moved() const;

  // --- From the turn.
  void durable();  // what was written is on disk
  void members_changed() { update(); }
  void tick();

 private:
  struct Acquaintance {
    raft::ClusterId cluster;
    std::string address;      // as it calls itself
    std::uint64_t until = 0;  // ticks, as all here
    std::uint64_t since = 0;
    std::uint64_t heard = 0;
  };

  void recall();
  void adopt(raft::ClusterId cluster);
  void update();
  [[nodiscard]] const Acquaintance* said(raft::NodeId id) const;
  [[nodiscard]] bool is_believed(const Acquaintance& who) const;
  void forget_others_at(const std::string& address, raft::NodeId node);
  void collect(std::vector<raft::Member>& wanted);
  [[nodiscard]] bool is_member(raft::NodeId id) const;

  NodeHost& host_;
  raft::ClusterId adopting_;             // 0: nothing under way
  bool bootstrapping_ = false;           // the first entry is being written
  bool was_member_ = false;              // as the log at the start proves, applied or not
  bool has_whole_log_ = false;           // it began with the very first entry
  std::optional<raft::Index> disowned_;  // the configuration it was said of
  std::map<raft::NodeId, Acquaintance> greeted_;
  std::map<raft::NodeId, Acquaintance> former_;  // members that are none any more
  std::vector<raft::Member> members_;            // at the last update
  std::vector<raft::Member> told_;               // what the transport knows
};

}  // namespace iris
