#include "src/api/context.h"

#include "raft/members.h"
#include "src/base/address.h"

namespace iris {

std::string leader_address(const Node& node) {
  const raft::NodeId leader = node.core().leader();
  if (leader.value == 0) return {};
  return grpc_address(raft::address_of(node.core().members(), leader));
}

}  // namespace iris
