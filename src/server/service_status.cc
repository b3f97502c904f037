#include "src/server/service_status.h"

#include "raft/members.h"
#include "src/base/address.h"

namespace iris {
namespace {

std::string role(const Node& node, const MajorityWatch& majority) {
  const raft::Core& core = node.core();
  const std::string voters = std::to_string(core.members().voters.size()) + " voters";
  if (!node.initialized()) return "waiting to join a cluster";
  if (majority.missing()) return majority.status();
  if (core.role() == raft::Role::leader) return "leader of " + voters;
  if (core.leader().value == 0) return "waiting for a leader of " + voters;
  return "following the leader at " + grpc_address(raft::address_of(core.members(), core.leader()));
}

}  // namespace

std::string service_status(const Node& node, const MajorityWatch& majority,
                           const std::string& certificate_fault) {
  const std::string text = role(node, majority);
  if (certificate_fault.empty()) return text;
  return text + "; new certificates are not in use: " + certificate_fault;
}

}  // namespace iris
