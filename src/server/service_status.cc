#include "src/server/service_status.h"

#include "raft/members.h"
#include "src/base/address.h"

namespace iris {
namespace {

std::string role(const Node& node, const MajorityWatch& majority, const std::string& join_way) {
  const raft::Core& core = node.core();
  const std::size_t count = core.members().voters.size();
  const std::string voters = std::to_string(count) + (count == 1 ? " voter" : " voters");
  if (!node.initialized()) {
    return "waiting to join a cluster" + (join_way.empty() ? "" : " by way of " + join_way);
  }
  if (majority.missing()) return majority.status();
  if (core.role() == raft::Role::leader) {
    const std::string unreached = majority.unreached();
    return "leader of " + voters + (unreached.empty() ? "" : "; no connection to " + unreached);
  }
  if (core.leader().value == 0) return "waiting for a leader of " + voters;
  return "following the leader at " + grpc_address(raft::address_of(core.members(), core.leader()));
}

}  // namespace

std::string service_status(const Node& node, const MajorityWatch& majority,
                           const std::string& join_way, const std::string& certificate_fault) {
  std::string text = role(node, majority, join_way);
  if (certificate_fault.empty()) return text;
  return text + "; new certificates are not in use: " + certificate_fault;
}

}  // namespace iris
