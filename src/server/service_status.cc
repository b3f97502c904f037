#include "src/server/service_status.h"

#include "src/base/log.h"

namespace iris {

std::string service_status(const Node& node) {
  const raft::Core& core = node.core();
  const std::string voters = std::to_string(core.members().voters.size()) + " voters";
  if (!node.initialized()) return "waiting to join a cluster";
  if (core.role() == raft::Role::leader) return "leader of " + voters;
  if (core.leader().value == 0) return "waiting for a majority of " + voters;
  return "following node " + hex_id(core.leader().value);
}

}  // namespace iris
