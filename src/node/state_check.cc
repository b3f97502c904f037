#include "src/node/state_check.h"

#include <algorithm>
#include <utility>

#include "raft/members.h"
#include "src/base/log.h"

namespace iris {

StateCheck::StateCheck(NodeHost& host)
    : host_(host), hashing_(host, [this](raft::NodeId to, const StateHashReply& reply) {
        if (to == host_.self) return answered(to, reply);
        host_.transport.send(to, reply);
      }) {}

// --- The leader's rounds.

void StateCheck::role_changed() {
  round_.reset();
  checked_ = {};
  if (host_.leads()) next_round(true);
}

void StateCheck::next_round(bool early) {
  const std::uint64_t interval = host_.options.state_check_interval_ms;
  due_at_ = host_.now + host_.ticks(early ? interval / early_part : interval);
}

void StateCheck::tick() {
  hashing_.tick();
  if (host_.stopped || !host_.leads() || host_.options.state_check_interval_ms == 0) return;
  if (!round_) {
    if (due()) begin();
  } else if (host_.now - round_->begun_at >= host_.ticks(round_ms_max)) {
    conclude();
  } else {
    if (host_.now >= round_->ask_at) ask();
    if (round_) conclude_if_over();
  }
}

bool StateCheck::due() const {
  if (host_.now < due_at_ || !host_.may_propose() || !host_.core->members_settled()) return false;
  if (host_.core->members().level < level_min) return false;
  if (raft::all_members(host_.core->members()).size() < 2) return false;
  return host_.core->last_index() != checked_ || host_.now >= recheck_at_;
}

// Whoever gets the request has not applied more than the last entry of the log, unless messages
// overtook each other: what this leader has committed comes to a member after it.
void StateCheck::begin() {
  Round round;
  // A node purges as far as its log is trimmed.
  const std::uint64_t history_after = std::max(purged_, host_.floor.value);
  round.request = {host_.id_base() + ++begun_, host_.core->last_index(), history_after};
  round.members = host_.core->members();
  round.members_index = host_.core->members_index();
  round.begun_at = host_.now;
  round_ = std::move(round);
  ask();
}

void StateCheck::ask() {
  round_->ask_at = host_.now + host_.ticks(ask_again_ms);
  const StateHashRequest request = round_->request;
  for (const raft::Member& member : raft::all_members(round_->members)) {
    if (!is_missing(member.id)) continue;
    if (member.id == host_.self) {
      hashing_.asked(member.id, request);
      if (!round_) return;  // that was the last hash that it waited for
    } else {
      host_.transport.send(member.id, request);
    }
  }
}

// A member that is not heard is not waited for; the next round comes.
bool StateCheck::is_asked(raft::NodeId id) const { return host_.core->hears(id); }

bool StateCheck::is_missing(raft::NodeId id) const {
  return is_asked(id) && !round_->hashes.contains(id) && !round_->passed.contains(id);
}

void StateCheck::answered(raft::NodeId from, const StateHashReply& reply) {
  if (!round_ || reply.id != round_->request.id) return;
  if (!raft::is_member(round_->members, from)) return;
  if (reply.passed || reply.hash.index != round_->request.index) {
    round_->passed.insert(from);
  } else {
    round_->hashes.emplace(from, reply.hash);
    purged_ = std::max(purged_, reply.hash.purged);
  }
  conclude_if_over();
}

void StateCheck::conclude_if_over() {
  const std::vector<raft::Member> members = raft::all_members(round_->members);
  const bool waits = std::any_of(members.begin(), members.end(),
                                 [this](const raft::Member& each) { return is_missing(each.id); });
  if (!waits) conclude();
}

void StateCheck::conclude() {
  const Round round = std::move(*round_);
  round_.reset();
  next_round(true);
  // What a majority is may have changed with the members.
  if (host_.core->members_index() != round.members_index) return;
  const StateComparison comparison = compare_states(round.members, round.hashes);
  if (comparison.result == StateComparison::Result::too_few) return;
  if (comparison.odd.empty()) next_round(false);
  if (comparison.odd.empty() && comparison.result == StateComparison::Result::majority) {
    checked_ = round.request.index;
    recheck_at_ = host_.now + unchanged_rounds * host_.ticks(host_.options.state_check_interval_ms);
  }
  for (const raft::NodeId id : comparison.odd) {
    log(LogLevel::error, "a member has other data than a majority, and stops",
        {{"node", hex_id(id.value)}, {"index", round.request.index.value}});
  }
  tell(round, comparison);
}

void StateCheck::tell(const Round& round, const StateComparison& comparison) {
  StateVerdict verdict{round.request.id, round.request.index, StateVerdict::Result::equal,
                       comparison.data, comparison.history};
  for (const auto& [id, hash] : round.hashes) {
    if (comparison.result == StateComparison::Result::no_majority) {
      verdict.result = StateVerdict::Result::no_majority;
    } else {
      verdict.result =
          comparison.odd.contains(id) ? StateVerdict::Result::odd : StateVerdict::Result::equal;
    }
    send(id, verdict);
  }
}

void StateCheck::send(raft::NodeId to, const StateVerdict& verdict) {
  if (to == host_.self) return told(to, verdict);
  if (is_asked(to)) host_.transport.send(to, verdict);
}

// --- Every member.

void StateCheck::told(raft::NodeId from, const StateVerdict& verdict) {
  if (host_.stopped || from != host_.core->leader()) return;
  const StateHash* own = hashing_.told(from, verdict.id);
  if (verdict.result == StateVerdict::Result::odd) {
    // Believed only of a hash that this node made itself, and that does differ.
    if (own == nullptr || own->index != verdict.index) return;
    const bool in_history = own->data == verdict.data;
    if (in_history && (!own->history || !verdict.history || own->history == verdict.history)) {
      return;
    }
    odd_ = "its data differs from that of a majority of the members: at index " +
           std::to_string(verdict.index.value) + " its hash is " +
           hex_text(in_history ? *own->history : own->data) + ", theirs is " +
           hex_text(in_history ? *verdict.history : verdict.data);
  }
  using Result = StateCheckStatus::Result;
  const bool repeated = last_.result == Result::no_majority && last_.index == verdict.index;
  last_.index = verdict.index;
  last_.hash = verdict.data;
  last_.result = odd_ ? Result::odd : Result::equal;
  if (verdict.result == StateVerdict::Result::no_majority) {
    last_.hash = own != nullptr ? own->data : Hash128{};
    last_.result = Result::no_majority;
    if (!repeated) {
      log(LogLevel::error, "members differ in their data, and none has a majority on its side",
          {{"index", verdict.index.value}, {"own_hash", hex_text(last_.hash)}});
    }
  }
  last_at_ = host_.now;
  host_.touch();
}

StateCheckStatus StateCheck::status() const {
  StateCheckStatus status = last_;
  status.age_ms = (host_.now - last_at_) * host_.options.tick_ms;
  return status;
}

void StateCheck::stop() {
  round_.reset();
  hashing_.stop();
}

}  // namespace iris
