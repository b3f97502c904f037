#include "src/node/admin.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "raft/members.h"
#include "src/base/log.h"

namespace iris {
namespace {

constexpr std::size_t calls_max = 128;
// How long a leader works on what a peer asked for; the peer's own call has its own deadline.
constexpr std::uint64_t asked_ms_max = 30'000;
constexpr std::uint64_t announce_ms_max = 5'000;

using Kind = AdminRequest::Kind;

// Asked twice they do no more than asked once, and both answers are right.
bool repeatable(Kind kind) {
  return kind == Kind::join || kind == Kind::promote || kind == Kind::set_address;
}

std::string no_member(raft::NodeId id) {
  return "node " + hex_id(id.value) + " is not a member of this cluster";
}

}  // namespace

// --- Calls come.

void Admin::call(AdminRequest request, std::uint64_t deadline_ms, Node::AdminDone done) {
  Call call;
  call.request = std::move(request);
  call.done = std::move(done);
  call.deadline = host_.deadline(deadline_ms);
  add(std::move(call));
}

void Admin::asked(raft::NodeId from, AdminRequest request) {
  Call call;
  call.request = std::move(request);
  call.peer = from;
  call.deadline = host_.deadline(asked_ms_max);
  add(std::move(call));
}

void Admin::add(Call call) {
  const Key key = ++last_key_;
  calls_.emplace(key, std::move(call));
  if (host_.stopped) {
    answer(key, fail(Errc::unavailable, "this node is stopping"));
  } else if (calls_.size() > calls_max) {
    answer(key, fail(Errc::limit, "more than " + std::to_string(calls_max) +
                                      " administrative calls are under way"));
  } else {
    advance(key);
  }
}

void Admin::answered(raft::NodeId from, const AdminReply& reply) {
  for (auto& [key, call] : calls_) {
    if (call.phase != Phase::forwarded || call.forward_id != reply.id) continue;
    if (call.peer != from) return;
    if (reply.ok) {
      answer(key, reply.node);
    } else if (reply.code == Errc::not_leader) {
      call.phase = Phase::waiting;  // again at the next tick
      call.ever_sent = call.doubtful;
    } else {
      answer(key, fail(reply.code, reply.text));
    }
    return;
  }
}

// Takes the call as far as it goes now. It may be answered, and gone, after this.
void Admin::advance(Key key) {
  Call& call = calls_.at(key);
  switch (call.phase) {
    case Phase::waiting:
      if (host_.leads()) {
        begin(key, call);
      } else if (!call.done) {
        answer(key, fail(Errc::not_leader, "this node does not lead"));
      } else if (host_.other_leader().value != 0) {
        forward(call, host_.other_leader());
      }
      return;
    case Phase::changing:
      change(key, call);
      return;
    case Phase::transferring:
      watch_transfer(key, call);
      return;
    case Phase::forwarded:
    case Phase::probing:
    case Phase::proposed:
      return;
  }
}

void Admin::forward(Call& call, raft::NodeId leader) {
  call.phase = Phase::forwarded;
  call.ever_sent = true;
  call.peer = leader;
  call.forward_id = host_.id_base() + ++last_key_;
  AdminRequest request = call.request;
  request.id = call.forward_id;
  host_.transport.send(leader, std::move(request));
}

// --- At the leader.

void Admin::begin(Key key, Call& call) {
  switch (call.request.kind) {
    case Kind::join:
      if (call.request.address == host_.options.address) {
        answer(key, host_.self);
        return;
      }
      probe(key, call);
      return;
    case Kind::set_address:
      if (call.request.node != host_.self) {
        probe(key, call);
        return;
      }
      [[fallthrough]];  // nobody has to ask this node who it is
    case Kind::remove:
    case Kind::promote:
      call.phase = Phase::changing;
      change(key, call);
      return;
    case Kind::transfer: {
      const Result<raft::NodeId> target = host_.core->transfer(call.request.node);
      host_.touch();
      if (!target) {
        answer(key, unexpected(target.error()));
        return;
      }
      host_.transferring = true;
      call.request.node = *target;
      call.phase = Phase::transferring;
      call.ever_sent = true;
      return;
    }
  }
}

void Admin::probe(Key key, Call& call) {
  call.phase = Phase::probing;
  host_.transport.probe(call.request.address,
                        [this, key, gone = host_.guard()](Result<PeerIdentity> identity) {
                          if (!gone.expired()) probed(key, std::move(identity));
                        });
}

void Admin::probed(Key key, Result<PeerIdentity> identity) {
  const auto found = calls_.find(key);
  if (found == calls_.end() || found->second.phase != Phase::probing) return;
  Call& call = found->second;
  AdminRequest& request = call.request;
  if (!identity) {
    const raft::Member* known =
        request.kind == Kind::join
            ? raft::find_staying_by_address(host_.core->members(), request.address)
            : nullptr;
    if (known != nullptr) {  // it may be down: it belongs all the same
      request.node = known->id;
      call.phase = Phase::changing;
      change(key, call);
      return;
    }
    answer(key, fail(Errc::unavailable,
                     "cannot reach a node at " + request.address + ": " + identity.error().text));
    return;
  }
  if (identity->cluster.value != 0 && identity->cluster != host_.cluster) {
    answer(key, fail(Errc::refused, "the node at " + request.address + " is of cluster " +
                                        hex_id(identity->cluster.value) + ", this cluster is " +
                                        hex_id(host_.cluster.value)));
    return;
  }
  if (request.kind == Kind::set_address && identity->node != request.node) {
    answer(key, fail(Errc::refused, "at " + request.address + " is node " +
                                        hex_id(identity->node.value) + ", not " +
                                        hex_id(request.node.value)));
    return;
  }
  if (request.kind == Kind::join && !identity->address.empty() &&
      identity->address != request.address && !std::exchange(call.named, true)) {
    // Every member must reach it by the address it goes by.
    request.address = identity->address;
    probe(key, call);
    return;
  }
  request.node = identity->node;
  call.phase = Phase::changing;
  change(key, call);
}

Result<std::optional<raft::MemberChange>> Admin::missing(const Call& call) const {
  using Missing = std::optional<raft::MemberChange>;
  const raft::Members& members = host_.core->members();
  const AdminRequest& request = call.request;
  const raft::Member* member = raft::find_staying(members, request.node);
  switch (request.kind) {
    case Kind::join: {
      if (member != nullptr) return Missing{};
      // Its folder was emptied before it had become a voter.
      const raft::Member* stale = raft::find_by_address(members.learners, request.address);
      if (stale != nullptr) return Missing{raft::Remove{stale->id}};
      return Missing{raft::AddLearner{{request.node, request.address}}};
    }
    case Kind::remove:
      if (member != nullptr) return Missing{raft::Remove{request.node}};
      if (call.ever_sent) return Missing{};
      return fail(Errc::not_found, no_member(request.node));
    case Kind::promote: {
      if (raft::contains(members.voters, request.node)) return Missing{};
      if (member == nullptr) return fail(Errc::not_found, no_member(request.node));
      const Result<raft::Promote> step = promotion(request.node);
      if (!step) return unexpected(step.error());
      return Missing{*step};
    }
    case Kind::set_address:
      if (member == nullptr) return fail(Errc::not_found, no_member(request.node));
      if (member->address == request.address) return Missing{};
      return Missing{raft::SetAddress{request.node, request.address}};
    case Kind::transfer:
      break;
  }
  return Missing{};
}

void Admin::change(Key key, Call& call) {
  Result<std::optional<raft::MemberChange>> step = missing(call);
  if (!step && step.error().code == Errc::busy) {
    call.last_refusal = step.error().text;  // again at the next tick
    return;
  }
  if (!step) {
    answer(key, unexpected(step.error()));
    return;
  }
  if (!*step) {
    if (host_.core->members_settled()) answer(key, call.request.node);
    return;  // else it is on its way
  }
  if (!host_.leads()) {
    call.phase = Phase::waiting;
    return;
  }
  const Result<raft::EntryId> entry = host_.core->change(**step, call.request.force);
  if (entry) {
    host_.touch();
    call.phase = Phase::proposed;
    call.ever_sent = true;
    writes_.follow(*entry, call.deadline,
                   [this, key](const Result<Outcome>& result) { changed(key, result); });
  } else if (entry.error().code == Errc::busy) {
    call.last_refusal = entry.error().text;  // again at the next tick
  } else if (entry.error().code == Errc::not_leader) {
    call.phase = Phase::waiting;
  } else {
    answer(key, unexpected(entry.error()));
  }
}

void Admin::changed(Key key, const Result<Outcome>& result) {
  const auto found = calls_.find(key);
  if (found == calls_.end()) return;
  Call& call = found->second;
  if (result) {
    call.phase = Phase::changing;
    call.doubtful = true;  // this step is done, whatever becomes of the next
  } else if (result.error().code == Errc::unavailable) {
    call.phase = Phase::waiting;  // the entry lost its place: as if it had never been
    call.ever_sent = call.doubtful;
  } else {
    answer(key, unexpected(result.error()));
    return;
  }
  advance(key);
}

void Admin::watch_transfer(Key key, const Call& call) {
  if (!host_.leads()) {
    host_.transferring = false;
    if (host_.other_leader().value != 0) answer(key, host_.other_leader());
  } else if (host_.core->transfer_target().value == 0) {
    host_.transferring = false;
    answer(key, fail(Errc::refused, "node " + hex_id(call.request.node.value) +
                                        " did not take over in time; this node still leads"));
  }
}

// A learner at a voter's address is what became of that voter: its folder was emptied. The old
// identity leaves in the same change, so that it never counts beside the new one. Unless it is
// still heard: then it has moved, and will say so (or it died just now, and will be silent).
Result<raft::Promote> Admin::promotion(raft::NodeId learner) const {
  const raft::Members& members = host_.core->members();
  raft::Promote promote{learner, std::nullopt};
  const raft::Member* newcomer = raft::find_member(members.learners, learner);
  const raft::Member* old =
      newcomer != nullptr ? raft::find_by_address(members.voters, newcomer->address) : nullptr;
  if (old == nullptr) return promote;
  if (host_.core->hears(old->id)) {
    return fail(Errc::busy, "node " + hex_id(old->id.value) + " has the same address, " +
                                old->address + ", and is still heard");
  }
  promote.replaces = old->id;
  return promote;
}

// --- Ends.

void Admin::answer(Key key, Result<raft::NodeId> result) {
  const auto found = calls_.find(key);
  CHECK(found != calls_.end());
  Call call = std::move(found->second);
  calls_.erase(found);
  if (call.doubtful && !result && result.error().code == Errc::unavailable) {
    // That of the latest attempt only. One before it may have been done.
    result =
        fail(Errc::unknown_outcome,
             "an earlier attempt may have been done; the latest was not: " + result.error().text);
  }
  if (call.done) {
    host_.answers.other(
        [done = std::move(call.done), result = std::move(result)] { done(result); });
    host_.touch();
    return;
  }
  AdminReply reply;
  reply.id = call.request.id;
  reply.ok = result.has_value();
  if (result) {
    reply.node = *result;
  } else {
    reply.code = result.error().code;
    reply.text = result.error().text;
  }
  host_.transport.send(call.peer, std::move(reply));
}

void Admin::role_changed() {
  if (!host_.leads()) host_.transferring = false;
  const raft::NodeId leader = host_.core->leader();
  const bool moved = leader.value != 0 && leader != known_leader_;
  if (moved) known_leader_ = leader;
  promote_at_ = 0;
  promote_pause_ = 0;
  std::vector<Key> keys;
  for (auto& [key, call] : calls_) {
    if (moved && call.phase == Phase::forwarded && repeatable(call.request.kind)) {
      call.phase = Phase::waiting;
      call.doubtful = true;  // whoever leads no more may have done it
    }
    keys.push_back(key);
  }
  for (const Key key : keys) advance(key);
}

void Admin::tick() {
  host_.transferring = host_.leads() && host_.core->transfer_target().value != 0;
  expire();
  std::vector<Key> keys;
  keys.reserve(calls_.size());
  for (const auto& [key, call] : calls_) keys.push_back(key);
  for (const Key key : keys) advance(key);
  promote_newcomer();
  announce_address();
}

void Admin::expire() {
  for (auto next = calls_.begin(); next != calls_.end();) {
    const auto& [key, call] = *next++;
    if (call.deadline > host_.now) continue;
    if (call.ever_sent) {
      answer(key, fail(Errc::unknown_outcome, "not finished in time; it may still be done"));
    } else {
      answer(key, fail(Errc::unavailable, call.last_refusal.empty()
                                              ? "no leader was found in time; nothing was done"
                                              : call.last_refusal));
    }
  }
}

void Admin::dismissed() {
  for (auto next = calls_.begin(); next != calls_.end();) {
    const auto& [key, call] = *next++;
    if (call.request.kind == Kind::remove && call.request.node == host_.self && call.ever_sent) {
      answer(key, host_.self);
    }
  }
}

void Admin::stop() {
  while (!calls_.empty()) {
    const auto& [key, call] = *calls_.begin();
    answer(key, fail(call.ever_sent ? Errc::unknown_outcome : Errc::unavailable,
                     "this node is stopping"));
  }
}

// --- Errands.

// Nobody keeps a list of newcomers: the configuration is one. So a new leader finds them as well.
void Admin::promote_newcomer() {
  if (!host_.leads() || host_.core->members().learners.empty() || host_.now < promote_at_) return;
  promote_at_ = host_.now + host_.options.raft.heartbeat_ticks;
  if (!host_.core->members_settled()) return;
  const raft::NodeId ready = host_.core->promotable_learner();
  if (ready.value == 0) return;
  const Result<raft::Promote> step = promotion(ready);
  const Result<raft::EntryId> entry = step ? host_.core->change(*step) : unexpected(step.error());
  if (entry) {
    promote_pause_ = 0;
    log(LogLevel::info, "a learner has caught up and becomes a voter",
        {{"node", hex_id(ready.value)}});
    host_.touch();
    return;
  }
  promote_pause_ = std::clamp(2 * promote_pause_, host_.retry_ticks(), host_.patience_ticks());
  promote_at_ = host_.now + promote_pause_;
  log(LogLevel::info, "a learner cannot become a voter yet",
      {{"node", hex_id(ready.value)}, {"reason", entry.error().text}});
}

// This node came back under another address than the members know.
void Admin::announce_address() {
  if (!host_.takes_part() || host_.stopped || host_.now < announce_at_) return;
  announce_at_ = host_.now + host_.election_ticks();
  const raft::Member* own = raft::find_staying(host_.core->members(), host_.self);
  if (own == nullptr || host_.options.address.empty()) return;
  if (own->address == host_.options.address || host_.core->leader().value == 0) return;
  announce_at_ = host_.deadline(announce_ms_max) + host_.election_ticks();
  announce({host_.self, host_.options.address});
}

void Admin::moved(const raft::Member& member) {
  if (!host_.takes_part() || host_.stopped || host_.now < announce_other_at_) return;
  if (host_.other_leader().value == 0) return;  // whom this node leads can say so itself
  announce_other_at_ = host_.deadline(announce_ms_max) + host_.election_ticks();
  announce(member);
}

void Admin::announce(const raft::Member& member) {
  AdminRequest request;
  request.kind = Kind::set_address;
  request.node = member.id;
  request.address = member.address;
  call(std::move(request), announce_ms_max, [id = member.id](const Result<raft::NodeId>& result) {
    if (result) return;
    log(LogLevel::warn, "the members do not know the new address of a node yet",
        {{"node", hex_id(id.value)}, {"reason", result.error().text}});
  });
}

}  // namespace iris
