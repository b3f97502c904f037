// Inbounds: the connections that other nodes dialled: their number is bounded, and each node has at
// most one for each purpose.
// Loop thread. Owns the connections.
#pragma once

#include <cstddef>
#include <functional>
#include <list>
#include <memory>
#include <random>
#include <string>

#include "src/peers/inbound.h"

namespace iris {

struct InboundsHooks {
  std::function<PeerIdentity()> identity;  // as PeersHooks
  std::function<Status(const PeerIdentity& peer)> greet;
  std::function<void(PeerMessage message)> receive;
  // Members are not counted as strangers.
  std::function<bool(raft::NodeId node)> is_member;
  std::function<bool(const asio::ip::address& address)> is_member_address;
  // The node's connection from `address` was admitted.
  std::function<void(raft::NodeId node, const asio::ip::address& address)> heard;
};

class Inbounds {
 public:
  // The references outlive this object.
  Inbounds(asio::io_context& loop, const PeersOptions& options, InboundsHooks hooks,
           PeersStats& stats, Complaints& members, Complaints& strangers, std::mt19937_64& chance);

  // `session` as in Stream.
  void take(io::Socket socket, ssl_st* session);
  // Where the node says it is; empty: it has no connection here.
  [[nodiscard]] std::string address_of(raft::NodeId node) const;
  [[nodiscard]] std::size_t size() const { return open_.size(); }
  void close();

 private:
  [[nodiscard]] HandshakePlaces::Origin origin_of(const io::Socket& socket) const;
  void make_place(const HandshakePlaces::Origin& next);
  [[nodiscard]] Status admit(const wire::Hello& hello) const;
  [[nodiscard]] Status check_stranger(raft::NodeId node) const;
  void on_admitted(Inbound& inbound);

  const PeersOptions& options_;
  const InboundsHooks hooks_;
  const InboundShared shared_;
  std::mt19937_64& chance_;
  std::list<std::shared_ptr<Inbound>> open_;  // the oldest first
};

}  // namespace iris
