// Next change: what an administrative request still lacks in the configuration in force. A request
// is described by its goal, so each step may be repeated, and a new leader goes on where the former
// one stopped (hazards 52, 57).
// Pure functions of a core; loop thread, like the core.
#pragma once

#include <optional>

#include "raft/core.h"
#include "raft/result.h"
#include "src/node/peer_messages.h"

namespace iris {

// The change to propose next; nothing where the goal is reached. Errc::not_found: the subject is
// not a member. Errc::busy: not yet, with the reason. `attempted`: a change may have been proposed
// for this request already, so a member that is absent may have been removed by it. REQUIRES: of a
// join, request.node is the node that answers at the address.
[[nodiscard]] Result<std::optional<raft::MemberChange>> next_change(const raft::Core& core,
                                                                    const AdminRequest& request,
                                                                    bool attempted);

// The promotion of `learner`. A learner at a voter's address has replaced that voter, whose folder
// was emptied: the former identity leaves in the same change, so that the two never count side by
// side. Errc::busy while this leader still hears the voter, which then has moved and will announce
// its address, or has died just now and will fall silent.
[[nodiscard]] Result<raft::Promote> promotion(const raft::Core& core, raft::NodeId learner);

}  // namespace iris
