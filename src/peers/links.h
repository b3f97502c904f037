// Links: the connections that this node dials: to each peer one for control and one for bulk.
// Loop thread. Owns the links. A link to a member is kept; others go when they are idle.
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "src/node/transport.h"
#include "src/peers/link.h"

namespace iris {

class Links {
 public:
  // `shared.retired` and `shared.resolved` are set here. All references in it outlive this object.
  explicit Links(LinkShared shared);

  // These are the members now; links to former ones hang up once they are idle.
  void set_members(const std::vector<raft::Member>& members, raft::NodeId self);
  [[nodiscard]] bool is_member(raft::NodeId node) const;
  // Has a member this address, as far as is known: its name was resolved to it when it was dialled
  // last, or it has come from there last.
  [[nodiscard]] bool is_member_address(const asio::ip::address& address) const;

  // True: the message is in the link's hands, which may still drop it. False: the node is neither a
  // member nor connected, and no `address` (empty) says where it is.
  [[nodiscard]] bool send(raft::NodeId to, const PeerBody& body, const std::string& address);
  // Is send() possible without an address?
  [[nodiscard]] bool reaches(raft::NodeId to) const;
  // The node has just dialled this one from `address`, so it is up: links that wait after a failure
  // dial at once.
  void on_peer_heard(raft::NodeId node, const asio::ip::address& address);

  [[nodiscard]] std::size_t queued_bytes(raft::NodeId to) const;
  [[nodiscard]] bool connected(raft::NodeId to) const;  // the control connection
  [[nodiscard]] std::optional<raft::Level> level_of(raft::NodeId to) const;  // as Transport
  void close();

 private:
  struct Pair {
    std::string address;
    bool member = false;
    std::vector<asio::ip::address> resolved;
    asio::ip::address heard;  // unspecified: never
    std::shared_ptr<Link> control;
    std::shared_ptr<Link> bulk;
  };

  static void close(Pair& pair);
  static bool connected(const Pair& pair);
  void retire(const Link& link);

  LinkShared shared_;
  std::map<raft::NodeId, Pair> pairs_;
};

}  // namespace iris
