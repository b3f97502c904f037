#include "src/node/errands.h"

#include <algorithm>
#include <utility>

#include "raft/members.h"
#include "src/base/log.h"
#include "src/node/next_change.h"

namespace iris {
namespace {

constexpr std::uint64_t announce_ms_max = 5'000;

}  // namespace

void Errands::role_changed() {
  promote_at_ = 0;
  promote_pause_ = 0;
}

void Errands::tick() {
  raise_level();
  promote_newcomer();
  announce_own_address();
  announce_moved_member();
}

// A member that is away holds it back: it may come back as the build that it was. A change that is
// under way does so as well, and the next tick tries again.
void Errands::raise_level() {
  if (!host_.leads() || !host_.core->members_settled()) return;
  if (host_.core->members().level >= host_.options.level) return;
  const std::optional<raft::Level> common = contacts_.level();
  if (!common || *common <= host_.core->members().level) return;
  if (!host_.core->change(raft::RaiseLevel{*common})) return;
  log(LogLevel::info, "all members know a higher feature level, and the cluster is raised to it",
      {{"feature_level", common->value}});
  host_.touch();
}

void Errands::promote_newcomer() {
  if (!host_.leads() || host_.core->members().learners.empty() || host_.now < promote_at_) return;
  promote_at_ = host_.now + host_.options.raft.heartbeat_ticks;
  if (!host_.core->members_settled()) return;
  const raft::NodeId ready = host_.core->promotable_learner();
  if (ready.value == 0) return;
  const Result<raft::Promote> step = promotion(*host_.core, ready);
  const Result<raft::EntryId> entry = step ? host_.core->change(*step) : unexpected(step.error());
  if (entry) {
    promote_pause_ = 0;
    log(LogLevel::info, "a learner has caught up and becomes a voter",
        {{"node", hex_id(ready.value)}});
    host_.touch();
    return;
  }
  promote_pause_ = std::clamp(2 * promote_pause_, host_.retry_ticks(), host_.give_up_ticks());
  promote_at_ = host_.now + promote_pause_;
  log(LogLevel::info, "a learner cannot become a voter yet",
      {{"node", hex_id(ready.value)}, {"reason", entry.error().text}});
}

// This node came back under another address than the members know.
void Errands::announce_own_address() {
  if (!host_.takes_part() || host_.stopped || host_.now < announce_own_at_) return;
  announce_own_at_ = host_.now + host_.election_ticks();
  const raft::Member* own = raft::find_staying(host_.core->members(), host_.self);
  if (own == nullptr || host_.options.address.empty()) return;
  if (own->address == host_.options.address || host_.core->leader().value == 0) return;
  announce_own_at_ = next_announcement();
  announce({host_.self, host_.options.address});
}

// A member speaks from another address than the configuration says. The leader may not hear it, and
// it may know of no leader.
void Errands::announce_moved_member() {
  if (!host_.takes_part() || host_.stopped || host_.now < announce_moved_at_) return;
  if (host_.other_leader().value == 0) return;  // a member that this node leads can say it itself
  const std::optional<raft::Member> moved = contacts_.moved();
  if (!moved) return;
  announce_moved_at_ = next_announcement();
  announce(*moved);
}

std::uint64_t Errands::next_announcement() const {
  return host_.deadline(announce_ms_max) + host_.election_ticks();
}

void Errands::announce(const raft::Member& member) {
  AdminRequest request;
  request.kind = AdminRequest::Kind::set_address;
  request.node = member.id;
  request.address = member.address;
  admin_.call(std::move(request), announce_ms_max,
              [id = member.id](const Result<raft::NodeId>& result) {
                if (result) return;
                log(LogLevel::warn, "the members do not know the new address of a node yet",
                    {{"node", hex_id(id.value)}, {"reason", result.error().text}});
              });
}

}  // namespace iris
