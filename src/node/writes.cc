#include "src/node/writes.h"

namespace iris {
namespace {

// How long a leader keeps a forwarded command that is not decided. The peer's own call has ended
// long before.
constexpr std::uint64_t asked_ms_max = 60'000;

Error disk_low_error(const NodeOptions& options) {
  return {Errc::limit, "the disk is nearly full: fewer than " +
                           std::to_string(options.disk_reserve_bytes) +
                           " bytes are free (-disk-reserve-bytes); removals and reads go on"};
}

// Commands that a node whose disk is nearly full refuses.
bool grows(const Operation& operation) {
  return std::holds_alternative<SetValue>(operation) ||
         std::holds_alternative<Subscribe>(operation);
}

}  // namespace

Writes::Writes(NodeHost& host)
    : host_(host),
      calls_(host.budget),
      parked_(calls_.open_queue()),
      forwarded_(calls_.open_queue()),
      proposed_(calls_.open_queue()) {}

void Writes::submit(const Operation& operation, std::uint64_t deadline_ms, Node::Done done,
                    WaitingCall* waiting) {
  host_.touch();
  Call call;
  call.done = std::move(done);
  call.waiting = waiting;
  if (host_.stopped) {
    finish(std::move(call), fail(Errc::unavailable, "this node is stopping"));
  } else if (host_.budget.full()) {
    finish(std::move(call), unexpected(host_.too_many_waiters()));
  } else if (host_.disk_low && grows(operation)) {
    finish(std::move(call), unexpected(disk_low_error(host_.options)));
  } else {
    call.command = encode(operation, host_.level);
    const std::size_t bytes = call.command.size();
    const std::size_t bytes_max = host_.options.raft.entry_bytes_max;
    if (bytes > bytes_max) {
      finish(std::move(call),
             fail(Errc::limit, "a command of " + std::to_string(bytes) + " bytes; the limit is " +
                                   std::to_string(bytes_max) + " (entry_bytes_max)"));
      return;
    }
    route(std::move(call), host_.deadline(deadline_ms));
  }
}

void Writes::follow(raft::EntryId entry, std::uint64_t deadline, Node::Done done) {
  Call call;
  call.done = std::move(done);
  call.stage = Stage::proposed;
  call.entry = entry;
  if (entry.term != proposed_term_) orphan_proposed();
  proposed_term_ = entry.term;
  calls_.enter(proposed_, add(std::move(call), deadline));
}

WaiterHandle Writes::add(Call call, std::uint64_t deadline) {
  return add_waiting(calls_, WaitingCall::Kind::write, std::move(call), deadline);
}

void Writes::abandon(const WaitingCall& waiting) {
  CHECK(waiting.kind == WaitingCall::Kind::write);
  Call call = take(waiting.handle);
  Error error = given_up(call, "the caller is gone; the command was not proposed");
  finish(std::move(call), unexpected(std::move(error)));
}

void Writes::route(Call call, std::uint64_t deadline) {
  if (host_.may_propose()) {
    propose(std::move(call), deadline);
  } else {
    keep(std::move(call), deadline, host_.reachable_leader());
  }
}

void Writes::propose(Call call, std::uint64_t deadline) {
  if (host_.unapplied_bytes > host_.options.unapplied_bytes_max) {
    finish(std::move(call),
           fail(Errc::limit, "more than " + std::to_string(host_.options.unapplied_bytes_max) +
                                 " bytes of commands wait for the disk "
                                 "(unapplied_bytes_max)"));
    return;
  }
  Result<raft::EntryId> entry = host_.core->propose(std::move(call.command));
  if (!entry) {
    const Errc code = entry.error().code == Errc::limit ? Errc::limit : Errc::unavailable;
    finish(std::move(call), fail(code, entry.error().text));
    return;
  }
  if (entry->term != proposed_term_) orphan_proposed();
  proposed_term_ = entry->term;
  call.stage = Stage::proposed;
  call.entry = *entry;
  call.command = {};
  calls_.enter(proposed_, add(std::move(call), deadline));
}

// Forwards the call to `leader` under a new id, or parks it where that is 0.
void Writes::keep(Call call, std::uint64_t deadline, raft::NodeId leader) {
  if (waiting_bytes_ + call.command.size() > host_.options.waiting_bytes_max) {
    finish(std::move(call), fail(Errc::limit, "commands that wait for a leader exceed " +
                                                  std::to_string(host_.options.waiting_bytes_max) +
                                                  " bytes (waiting_bytes_max)"));
    return;
  }
  waiting_bytes_ += call.command.size();
  call.stage = leader.value != 0 ? Stage::forwarded : Stage::parked;
  call.peer = leader;
  ForwardRequest request;
  if (leader.value != 0) request.command = call.command;
  const WaiterHandle handle = add(std::move(call), deadline);
  if (leader.value == 0) {
    calls_.enter(parked_, handle);
    return;
  }
  calls_.enter(forwarded_, handle);
  request.id = handle.value ^ host_.id_base();
  host_.transport.send(leader, std::move(request));
}

void Writes::retry_parked() {
  while (host_.may_propose() || host_.reachable_leader().value != 0) {
    const WaiterHandle handle = calls_.front(parked_);
    if (!handle) return;
    const std::uint64_t deadline = calls_.deadline(handle);
    route(take(handle), deadline);
  }
}

// --- From peers.

void Writes::asked(raft::NodeId from, ForwardRequest request) {
  Call call;
  call.peer = from;
  call.id = request.id;
  if (host_.stopped || !host_.may_propose()) {
    finish(std::move(call), fail(Errc::unavailable, "does not lead"));
    return;
  }
  if (host_.budget.full()) {
    finish(std::move(call), unexpected(host_.too_many_waiters()));
    return;
  }
  if (host_.disk_low) {
    const Result<Operation> operation = decode(request.command);
    if (operation && grows(*operation)) {
      finish(std::move(call), unexpected(disk_low_error(host_.options)));
      return;
    }
  }
  // One that a member does not know would end each of them when it is applied.
  const std::optional<raft::Level> needed = level_of(request.command);
  if (!needed || *needed > host_.core->members().level) {
    finish(std::move(call), fail(Errc::unavailable, "a command of a newer level"));
    return;
  }
  call.command = std::move(request.command);
  propose(std::move(call), host_.deadline(asked_ms_max));
}

void Writes::answered(raft::NodeId from, ForwardReply reply) {
  const WaiterHandle handle{reply.id ^ host_.id_base()};
  const Call* found = calls_.find(handle);
  if (found == nullptr || found->stage != Stage::forwarded || found->peer != from) return;
  const std::uint64_t deadline = calls_.deadline(handle);
  Call call = take(handle);
  switch (reply.code) {
    case ForwardReply::Code::done:
      finish(std::move(call), reply.outcome);
      return;
    case ForwardReply::Code::not_proposed:
      // Safe to send again, but not before the next tick: the leader may not be known yet, here or
      // there.
      keep(std::move(call), deadline, {});
      return;
    case ForwardReply::Code::unknown:
      finish(std::move(call),
             fail(Errc::unknown_outcome, "the leader does not know what became of the command"));
      return;
    case ForwardReply::Code::limit:
      finish(std::move(call), fail(Errc::limit, std::move(reply.text)));
      return;
  }
}

// --- From the turn.

void Writes::applied(raft::EntryId entry, const Outcome& outcome) {
  while (const WaiterHandle handle = calls_.front(proposed_)) {
    if (calls_.find(handle)->entry.index > entry.index) break;
    resolve(handle, entry, outcome);
  }
  while (!orphans_.empty() && orphans_.begin()->first.first <= entry.index) {
    resolve(orphans_.begin()->second, entry, outcome);
  }
}

void Writes::resolve(WaiterHandle handle, raft::EntryId entry, const Outcome& outcome) {
  Call call = take(handle);
  CHECK(call.entry.index == entry.index);  // every index is applied, in order
  if (call.entry == entry) {
    finish(std::move(call), outcome);
  } else {
    finish(std::move(call), fail(Errc::unavailable,
                                 "not applied: another leader's entry took its place in the log"));
  }
}

void Writes::installed(raft::Index index) {
  orphan_proposed();
  while (!orphans_.empty() && orphans_.begin()->first.first <= index) {
    finish(take(orphans_.begin()->second),
           fail(Errc::unknown_outcome, "a snapshot took the place of the log it was proposed to"));
  }
}

void Writes::role_changed() {
  const raft::NodeId leader = host_.core->leader();
  const raft::Term term = host_.core->term();
  if (leader.value != 0 && (leader != known_leader_ || term != known_term_)) {
    // Forwarded calls went to a node that leads no more. It may still answer them, but soon.
    const std::uint64_t soon = host_.now + host_.election_ticks();
    for (WaiterHandle handle = calls_.front(forwarded_); handle;
         handle = calls_.next(forwarded_, handle)) {
      if (calls_.deadline(handle) > soon) calls_.set_deadline(handle, soon);
    }
    known_leader_ = leader;
    known_term_ = term;
  }
  retry_parked();
}

void Writes::orphan_proposed() {
  while (const WaiterHandle handle = calls_.front(proposed_)) {
    Call* call = calls_.find(handle);
    call->stage = Stage::orphaned;
    orphans_.emplace(std::pair{call->entry.index, call->entry.term}, handle);
    calls_.leave(handle);
  }
}

void Writes::tick() {
  calls_.expire(host_.now, [this](WaiterHandle handle) {
    Call call = take(handle);
    Error error = given_up(call, "no leader was found in time; the command was not proposed");
    finish(std::move(call), unexpected(std::move(error)));
  });
  retry_parked();
}

void Writes::stop() {
  for (const WaiterHandle handle : calls_.all()) {
    Call call = take(handle);
    Error error = given_up(call, "this node is stopping; the command was not proposed");
    finish(std::move(call), unexpected(std::move(error)));
  }
}

Error Writes::given_up(const Call& call, const char* parked_text) const {
  if (call.stage == Stage::parked) return {Errc::unavailable, parked_text};
  return {Errc::unknown_outcome,
          call.stage == Stage::forwarded
              ? "forwarded to the leader, which did not answer in time: it may have been done"
              : "proposed, but not decided in time: it may still be done"};
}

Writes::Call Writes::take(WaiterHandle handle) {
  Call call = calls_.take(handle);
  if (call.stage == Stage::orphaned) orphans_.erase({call.entry.index, call.entry.term});
  if (call.stage == Stage::parked || call.stage == Stage::forwarded) {
    waiting_bytes_ -= call.command.size();
  }
  if (call.waiting != nullptr) *call.waiting = {};
  return call;
}

void Writes::finish(Call call, Result<Outcome> result) {
  if (call.done) {
    host_.answers.write(std::move(call.done), std::move(result));
    host_.touch();
    return;
  }
  ForwardReply reply;
  reply.id = call.id;
  if (result) {
    reply.outcome = *result;
  } else if (result.error().code == Errc::unavailable) {
    reply.code = ForwardReply::Code::not_proposed;
  } else if (result.error().code == Errc::limit) {
    reply.code = ForwardReply::Code::limit;
    reply.text = result.error().text;
  } else {
    reply.code = ForwardReply::Code::unknown;
  }
  host_.transport.send(call.peer, std::move(reply));
}

}  // namespace iris
