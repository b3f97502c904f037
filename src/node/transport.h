// Transport: the interface through which a node reaches its peers. Two implementations: src/peers
// (TCP, TLS) and the simulator's network.
// Loop thread. Never blocks. Messages may be lost, and delayed or reordered between connections;
// one that arrives is whole, checked, and from the node that it names. Only a raft::Message may
// arrive twice. The queue to each peer is bounded in bytes and drops the newest message when it is
// full, since Raft sends again.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "raft/result.h"
#include "raft/types.h"
#include "src/node/peer_messages.h"

namespace iris {

class Transport {
 public:
  virtual ~Transport() = default;
  // All nodes that this one may talk to. Connections to others are closed.
  virtual void set_peers(const std::vector<raft::Member>& peers) = 0;
  virtual void send(raft::NodeId to, PeerBody body) = 0;
  // Dials `address`, learns which node answers there, hangs up. `done` is called once, later, with
  // the identity or with the reason why there is none; the implementation limits the time.
  virtual void probe(const std::string& address,
                     std::function<void(Result<PeerIdentity>)> done) = 0;
  // False: a message sent now would not arrive soon. A command, whose outcome would then be
  // unknown, had better wait. An implementation that cannot tell answers true.
  [[nodiscard]] virtual bool connected(raft::NodeId) const { return true; }
  // The level that `to` said it knows when the connection that stands now began. Empty: there is no
  // connection, so it may be of another build by now.
  [[nodiscard]] virtual std::optional<raft::Level> level_of(raft::NodeId) const {
    return std::nullopt;
  }
  // Bytes queued for `to` and not yet given to the kernel; snapshots are paced by it.
  [[nodiscard]] virtual std::size_t queued_bytes(raft::NodeId to) const = 0;
};

}  // namespace iris
