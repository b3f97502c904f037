// The invariants of one core, which hold at any moment.
#include <algorithm>

#include "raft/state.h"

namespace iris::raft {
namespace {

void check_members(const Log& log, const MembersHistory& members) {
  const auto& versions = members.versions();
  CHECK(versions.front().index <= log.floor().index);
  auto version = versions.begin();
  for (Index index = log.first(); index <= log.last(); index = index.next()) {
    const Members* configuration = members_in(*log.at(index));
    if (configuration == nullptr) continue;
    ++version;
    CHECK(version != versions.end() && version->index == index);
    CHECK(version->members == *configuration && well_formed(*configuration));
    CHECK(version->members.level >= std::prev(version)->members.level);
  }
  CHECK(std::next(version) == versions.end());
}

}  // namespace

void Core::State::check_invariants() const {
  log.check_invariants();
  check_members(log, members);
  CHECK(log.last_id().term <= hard.term);
  CHECK(log.durable_state().term <= hard.term);
  CHECK(log.last_id().term <= hard.led && hard.led <= hard.term);
  CHECK(log.floor().index <= handed_out && handed_out <= commit && commit <= log.last());
  CHECK(applied <= handed_out);
  CHECK(handed_out <= std::max(log.stable(), log.floor().index));
  CHECK(verified <= log.last());
  CHECK(hard.term >= hard_written.term);
  CHECK(hard.term != hard_written.term || hard_written.vote == NodeId{} ||
        hard.vote == hard_written.vote);
  CHECK(role() == Role::leader || leader_id() != self);
  CHECK(halted || elapsed_ticks <= timeout_ticks);
  if (const Leader* leader = as_leader()) check_leader(*leader);
}

void Core::State::check_leader(const Leader& leader) const {
  CHECK(hard.vote == self && log.durable_state().vote == self);
  CHECK(log.durable_state().term == hard.term && hard.led == hard.term);
  CHECK(!install);
  // At most one configuration is uncommitted (thesis 4.1), once it knows what is committed.
  const auto& versions = members.versions();
  CHECK(!committed_own_term() ||
        std::count_if(versions.begin(), versions.end(),
                      [this](const auto& version) { return version.index > commit; }) <= 1);
  std::size_t pending_bytes = 0;
  for (Index index = handed_out.next(); index <= log.last(); index = index.next()) {
    pending_bytes += entry_bytes(*log.at(index));
  }
  CHECK(pending_bytes == leader.pending_bytes);
  CHECK(leader.peers.count(self) == 0);
  for (const Member& member : all_members(configuration())) {
    CHECK(member.id == self || !leader.peers.at(member.id).leaving);
  }
  for (const auto& [id, peer] : leader.peers) {
    peer.check_invariants();
    CHECK(peer.leaving != is_member(configuration(), id));
    CHECK(peer.match <= log.last() && peer.next <= log.last().next());
    CHECK(peer.round_acked <= leader.round);
    CHECK(peer.window.messages() <= options.window_messages_max);
    CHECK(peer.window.bytes() <= options.window_bytes_max || peer.window.messages() == 1);
  }
}

}  // namespace iris::raft
