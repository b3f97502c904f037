#include "src/node/admin.h"

#include <utility>
#include <vector>

#include "raft/members.h"
#include "src/base/log.h"
#include "src/node/next_change.h"

namespace iris {
namespace {

constexpr std::size_t calls_max = 128;
// How long a leader works on the call of a peer, where that call has a deadline of its own.
constexpr std::uint64_t asked_ms_max = 30'000;

using Kind = AdminRequest::Kind;

// A repeated call of these kinds changes nothing more, and the answers to both are right.
bool repeatable(Kind kind) {
  return kind == Kind::join || kind == Kind::promote || kind == Kind::set_address;
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
      call.attempted = call.attempted_before;
    } else {
      answer(key, fail(reply.code, reply.text));
    }
    return;
  }
}

// Takes the call as far as it goes now. The call may be answered, and gone, after this.
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
  call.attempted = true;
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
      [[fallthrough]];  // this node need not be asked for its identity
    case Kind::remove:
    case Kind::promote:
      call.phase = Phase::changing;
      change(key, call);
      return;
    case Kind::transfer:
      begin_transfer(key, call);
      return;
  }
}

void Admin::begin_transfer(Key key, Call& call) {
  const Result<raft::NodeId> target =
      host_.core->transfer(call.request.node, host_.unreachable_voters());
  host_.touch();
  if (!target) {
    answer(key, unexpected(target.error()));
    return;
  }
  call.request.node = *target;
  call.phase = Phase::transferring;
  call.attempted = true;
}

void Admin::probe(Key key, Call& call) {
  call.phase = Phase::probing;
  host_.transport.probe(call.request.address,
                        [this, key, gone = host_.guard()](const Result<PeerIdentity>& identity) {
                          if (!gone.expired()) probed(key, identity);
                        });
}

void Admin::probed(Key key, const Result<PeerIdentity>& identity) {
  const auto found = calls_.find(key);
  if (found == calls_.end() || found->second.phase != Phase::probing) return;
  Call& call = found->second;
  AdminRequest& request = call.request;
  if (!identity) {
    const raft::Member* known =
        request.kind == Kind::join
            ? raft::find_staying_by_address(host_.core->members(), request.address)
            : nullptr;
    if (known != nullptr) {  // it may be down, and is a member all the same
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
      identity->address != request.address && !std::exchange(call.renamed, true)) {
    // Every member must reach it by the address by which it calls itself.
    request.address = identity->address;
    probe(key, call);
    return;
  }
  request.node = identity->node;
  call.level = identity->level;
  call.phase = Phase::changing;
  change(key, call);
}

void Admin::change(Key key, Call& call) {
  const Result<std::optional<raft::MemberChange>> step =
      next_change(*host_.core, call.request, call.attempted);
  if (!step && step.error().code == Errc::busy) {
    call.last_refusal = step.error().text;  // again at the next tick
  } else if (!step) {
    answer(key, unexpected(step.error()));
  } else if (!*step) {
    if (host_.core->members_settled()) answer(key, call.request.node);  // else it is on its way
  } else if (!host_.leads()) {
    call.phase = Phase::waiting;
  } else {
    propose(key, call, **step);
  }
}

void Admin::propose(Key key, Call& call, const raft::MemberChange& step) {
  const raft::Level level = host_.core->members().level;
  if (std::holds_alternative<raft::AddLearner>(step) && call.level < level) {
    answer(key, fail(Errc::refused,
                     "the node at " + call.request.address + " knows feature levels up to " +
                         std::to_string(call.level.value) + ", and this cluster is at level " +
                         std::to_string(level.value) + ": run the newer version of Iris there"));
    return;
  }
  const Result<raft::EntryId> entry = host_.core->change(step, call.request.force);
  if (entry) {
    host_.touch();
    call.phase = Phase::proposed;
    call.attempted = true;
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
    call.attempted_before = true;  // this step is done, even if the next is not
  } else if (result.error().code == Errc::unavailable) {
    call.phase = Phase::waiting;  // another entry took its place: this attempt was not done
    call.attempted = call.attempted_before;
  } else {
    answer(key, unexpected(result.error()));
    return;
  }
  advance(key);
}

void Admin::watch_transfer(Key key, Call& call) {
  const raft::NodeId target = host_.core->transfer_target();
  if (!host_.leads()) {
    if (host_.other_leader().value != 0) answer(key, host_.other_leader());
  } else if (target.value != 0) {
    call.request.node = target;  // the core may have turned to another
  } else {
    answer(key, fail(Errc::refused, "node " + hex_id(call.request.node.value) +
                                        " did not take over in time; this node still leads"));
  }
}

// --- Ends.

void Admin::answer(Key key, Result<raft::NodeId> result) {
  const auto found = calls_.find(key);
  CHECK(found != calls_.end());
  Call call = std::move(found->second);
  calls_.erase(found);
  if (call.attempted_before && !result && result.error().code == Errc::unavailable) {
    // This speaks of the latest attempt only. One before it may have been done.
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
  const raft::NodeId leader = host_.core->leader();
  const bool moved = leader.value != 0 && leader != known_leader_;
  if (moved) known_leader_ = leader;
  for (auto& [key, call] : calls_) {
    if (moved && call.phase == Phase::forwarded && repeatable(call.request.kind)) {
      call.phase = Phase::waiting;
      call.attempted_before = true;  // the former leader may have done it
    }
  }
  advance_all();
}

void Admin::tick() {
  expire();
  advance_all();
}

void Admin::advance_all() {
  std::vector<Key> keys;
  keys.reserve(calls_.size());
  for (const auto& [key, call] : calls_) keys.push_back(key);
  for (const Key key : keys) advance(key);
}

void Admin::expire() {
  for (auto next = calls_.begin(); next != calls_.end();) {
    const auto& [key, call] = *next++;
    if (call.deadline > host_.now) continue;
    if (call.attempted) {
      answer(key, fail(Errc::unknown_outcome, "not finished in time; it may still be done"));
    } else {
      answer(key, fail(Errc::unavailable, call.last_refusal.empty()
                                              ? "no leader was found in time; nothing was done"
                                              : call.last_refusal));
    }
  }
}

void Admin::removed() {
  for (auto next = calls_.begin(); next != calls_.end();) {
    const auto& [key, call] = *next++;
    if (call.request.kind == Kind::remove && call.request.node == host_.self && call.attempted) {
      answer(key, host_.self);
    }
  }
}

void Admin::stop() {
  while (!calls_.empty()) {
    const auto& [key, call] = *calls_.begin();
    answer(key, fail(call.attempted ? Errc::unknown_outcome : Errc::unavailable,
                     "this node is stopping"));
  }
}

}  // namespace iris
