// Contacts: the nodes that this one talks to, and how it comes to belong to a cluster. Keeps the
// transport's list of peers: the members, former members (they must hear of their removal), and
// nodes that introduced themselves and need an answer.
// Loop thread. Owns what it remembers of other nodes. A node of no cluster is adopted by the
// cluster of the first node that sends it Raft messages, since no node does that before a leader
// has put the newcomer's id into the log. It takes part once the cluster's id is on disk. It is
// admitted only when that entry is committed: until then the entry may be lost along with its
// leader.
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

  // What the log at the start proves about this node. Before start().
  void learn(const raft::Recovered& recovered);
  void start();  // the core exists now
  // Node::bootstrap().
  void bootstrap();
  // Node::initialized() and admitted().
  [[nodiscard]] bool initialized() const;
  [[nodiscard]] bool admitted() const;
  // A member says that this node is not a member. REQUIRES: !admitted().
  void not_known_to(raft::NodeId member);

  // Node::greet().
  Status greet(const PeerIdentity& peer);
  // A Raft message came from `peer` while this node takes no part.
  void invited(raft::NodeId peer);
  // Something came from `peer`: it is where it said it is.
  void heard(raft::NodeId peer);

  // Node::members_level().
  [[nodiscard]] std::optional<raft::Level> level() const;

  // A member that has spoken for a while from another address than the configuration says.
  [[nodiscard]] std::optional<raft::Member> moved() const;

  // --- From the turn.
  void durable();  // more of what was written is on disk
  void members_changed() { update(); }
  void tick();

 private:
  // What another node said of itself, and when, in ticks.
  struct Contact {
    raft::ClusterId cluster;
    std::string address;      // the node's own raft address
    std::uint64_t until = 0;  // forgotten then, unless it is a member
    std::uint64_t since = 0;  // it introduced itself
    std::uint64_t heard = 0;  // the latest message
  };

  void adopt(raft::ClusterId cluster);
  [[nodiscard]] bool is_member(raft::NodeId id) const;
  [[nodiscard]] const Contact* greeting_of(raft::NodeId id) const;
  [[nodiscard]] bool is_silent(const Contact& contact) const;
  [[nodiscard]] bool is_trusted(const Contact& contact) const;
  void make_room_for_greeting();
  void forget_others_at(const std::string& address, raft::NodeId node);
  void update();
  [[nodiscard]] std::vector<raft::Member> reachable_members() const;
  void add_strangers(std::vector<raft::Member>& peers) const;

  NodeHost& host_;
  raft::ClusterId adopting_;                 // its id is being written; 0: none
  bool bootstrapping_ = false;               // the first entry is being written
  bool was_member_ = false;                  // proved by the log at the start, applied or not
  bool has_whole_log_ = false;               // the log at the start began with the very first entry
  std::optional<raft::Index> not_known_in_;  // the configuration that not_known_to() was told of
  std::map<raft::NodeId, Contact> greeted_;  // nodes that introduced themselves
  std::map<raft::NodeId, Contact> former_;   // former members
  std::vector<raft::Member> members_;        // at the last update
  std::vector<raft::Member> told_;           // the transport's list of peers
};

}  // namespace iris
