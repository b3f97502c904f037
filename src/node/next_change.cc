#include "src/node/next_change.h"

#include <string>

#include "raft/members.h"
#include "src/base/log.h"

namespace iris {
namespace {

using Kind = AdminRequest::Kind;
using Next = std::optional<raft::MemberChange>;

unexpected<Error> not_a_member(raft::NodeId id) {
  return fail(Errc::not_found, "node " + hex_id(id.value) + " is not a member of this cluster");
}

}  // namespace

Result<std::optional<raft::MemberChange>> next_change(const raft::Core& core,
                                                      const AdminRequest& request, bool attempted) {
  const raft::Members& members = core.members();
  const raft::Member* member = raft::find_staying(members, request.node);
  switch (request.kind) {
    case Kind::join: {
      if (member != nullptr) return Next{};
      // A learner whose folder was emptied before it became a voter.
      const raft::Member* stale = raft::find_by_address(members.learners, request.address);
      if (stale != nullptr) return Next{raft::Remove{stale->id}};
      return Next{raft::AddLearner{{request.node, request.address}}};
    }
    case Kind::remove:
      if (member != nullptr) return Next{raft::Remove{request.node}};
      if (attempted) return Next{};
      return not_a_member(request.node);
    case Kind::promote: {
      if (raft::contains(members.voters, request.node)) return Next{};
      if (member == nullptr) return not_a_member(request.node);
      const Result<raft::Promote> step = promotion(core, request.node);
      if (!step) return unexpected(step.error());
      return Next{*step};
    }
    case Kind::set_address:
      if (member == nullptr) return not_a_member(request.node);
      if (member->address == request.address) return Next{};
      return Next{raft::SetAddress{request.node, request.address}};
    case Kind::transfer:
      break;  // changes no configuration
  }
  return Next{};
}

Result<raft::Promote> promotion(const raft::Core& core, raft::NodeId learner) {
  const raft::Members& members = core.members();
  raft::Promote promote{learner, std::nullopt};
  const raft::Member* newcomer = raft::find_member(members.learners, learner);
  const raft::Member* replaced =
      newcomer != nullptr ? raft::find_by_address(members.voters, newcomer->address) : nullptr;
  if (replaced == nullptr) return promote;
  if (core.hears(replaced->id)) {
    return fail(Errc::busy, "node " + hex_id(replaced->id.value) + " has the same address, " +
                                replaced->address + ", and is still heard");
  }
  promote.replaces = replaced->id;
  return promote;
}

}  // namespace iris
