#include "src/node/peer_messages.h"

#include <string>

#include "src/base/log.h"

namespace iris {
namespace {

std::string name_of(const PeerIdentity& node) {
  return "node " + hex_id(node.node.value) + " at " + node.address;
}

Status check_knows(const PeerIdentity& older, const PeerIdentity& of_cluster) {
  if (older.level >= of_cluster.cluster_level) return Unit{};
  return fail(Errc::unimplemented, name_of(older) + " knows feature levels up to " +
                                       std::to_string(older.level.value) + ", and the cluster of " +
                                       name_of(of_cluster) + " is at level " +
                                       std::to_string(of_cluster.cluster_level.value) +
                                       ": run the newer version of Iris there");
}

}  // namespace

Status check_levels(const PeerIdentity& self, const PeerIdentity& peer) {
  Status knows = check_knows(peer, self);
  return knows ? check_knows(self, peer) : knows;
}

}  // namespace iris
