#include "src/node/reads.h"

#include <algorithm>

namespace iris {
namespace {

// Rounds under way at once. Reads that come meanwhile share the next one, so that the cost of a
// round is not the cost of each read.
constexpr std::size_t rounds_max = 2;
// Requests of peers that wait for one round. More are refused, and the peers ask again.
constexpr std::size_t askers_max = 4096;

}  // namespace

Reads::Reads(NodeHost& host)
    : host_(host),
      calls_(host.budget),
      collecting_(calls_.open_queue()),
      timeout_(host.retry_ticks()) {}

void Reads::set_timeout(std::uint64_t ticks) {
  timeout_ = std::clamp(ticks, host_.retry_ticks(), 4 * host_.election_ticks());
}

void Reads::read(Consistency consistency, std::uint64_t min_revision, std::uint64_t deadline_ms,
                 Done done, WaitingCall* waiting) {
  host_.touch();
  const raft::Index revision{min_revision};
  if (host_.stopped) {
    host_.answers.read(std::move(done), fail(Errc::unavailable, "this node is stopping"));
  } else if (consistency == Consistency::stale && revision <= host_.applied) {
    host_.answers.read(std::move(done), Unit{});
  } else if (host_.budget.full()) {
    host_.answers.read(std::move(done), unexpected(host_.too_many_waiters()));
  } else {
    const bool by_revision = consistency == Consistency::stale;
    const WaiterHandle handle =
        add({std::move(done), revision, by_revision, waiting}, host_.deadline(deadline_ms));
    if (by_revision) {
      by_revision_.emplace(revision, handle);
    } else {
      calls_.enter(collecting_, handle);
    }
  }
}

WaiterHandle Reads::add(Call call, std::uint64_t deadline) {
  return add_waiting(calls_, WaitingCall::Kind::read, std::move(call), deadline);
}

void Reads::abandon(const WaitingCall& waiting) {
  CHECK(waiting.kind == WaitingCall::Kind::read);
  finish(waiting.handle, fail(Errc::unavailable, "the caller is gone"));
}

// --- Rounds.

void Reads::begin_rounds() {
  if (rounds_.size() >= rounds_max || !host_.takes_part()) return;
  if (!host_.leads()) refuse(collecting_askers_);
  if (calls_.empty(collecting_) && collecting_askers_.empty()) return;
  if (host_.leads()) {
    begin_own_round();
  } else if (host_.other_leader().value != 0 && host_.now >= not_before_) {
    ask_leader(host_.other_leader());
  }
}

void Reads::begin_own_round() {
  const Result<raft::ReadId> read = host_.core->read();
  CHECK(read.has_value());  // this node leads
  Round round;
  round.read = *read;
  round.askers.swap(collecting_askers_);
  begin(std::move(round));
}

void Reads::ask_leader(raft::NodeId leader) {
  Round round;
  round.id = host_.id_base() + ++asked_;
  round.leader = leader;
  round.sent = host_.now;
  host_.transport.send(leader, ReadIndexRequest{round.id});
  begin(std::move(round));
}

// The round takes all calls that were collected.
void Reads::begin(Round round) {
  round.calls = collecting_;
  rounds_.push_back(std::move(round));
  if (spare_.empty()) spare_.push_back(calls_.open_queue());
  collecting_ = spare_.back();
  spare_.pop_back();
}

void Reads::asked(raft::NodeId from, ReadIndexRequest request) {
  if (!host_.stopped && host_.leads() && collecting_askers_.size() < askers_max) {
    collecting_askers_.push_back({from, request.id});
    host_.touch();
  } else {
    host_.transport.send(from, ReadIndexReply{request.id, false, {}});
  }
}

void Reads::answered(raft::NodeId from, ReadIndexReply reply) {
  const auto round = std::find_if(rounds_.begin(), rounds_.end(), [&](const Round& each) {
    return each.read.value == 0 && each.id == reply.id && each.leader == from;
  });
  if (round == rounds_.end()) return;
  set_timeout(2 * (host_.now - round->sent + 1));
  end_round(static_cast<std::size_t>(round - rounds_.begin()), reply.granted, reply.index);
}

void Reads::granted(const raft::ReadGrant& grant) {
  const auto round = std::find_if(rounds_.begin(), rounds_.end(), [&](const Round& each) {
    return each.read.value != 0 && each.read == grant.id;
  });
  CHECK(round != rounds_.end());  // every read() of the core is answered once
  end_round(static_cast<std::size_t>(round - rounds_.begin()), grant.granted, grant.index);
}

void Reads::end_round(std::size_t position, bool granted, raft::Index index) {
  host_.touch();
  if (!granted) {
    not_before_ = host_.now + 1;
    collect_again(position);
    return;
  }
  for (const Asker& asker : rounds_[position].askers) {
    host_.transport.send(asker.from, ReadIndexReply{asker.id, true, index});
  }
  const Table::Queue queue = rounds_[position].calls;
  rounds_.erase(rounds_.begin() + static_cast<std::ptrdiff_t>(position));
  // An empty queue (its calls expired, or only peers asked) has nothing to wait for.
  if (index <= host_.applied || calls_.empty(queue)) {
    serve(queue);
  } else {
    wait_until_applied(index, queue);
  }
}

// Rounds that were granted the same index share a queue, so there are never more queues than calls,
// however far applying lags.
void Reads::wait_until_applied(raft::Index index, Table::Queue queue) {
  const auto [waiting, is_new] = granted_.emplace(index, queue);
  if (is_new) return;
  calls_.splice(waiting->second, queue);
  spare_.push_back(queue);
}

void Reads::forget_expired() {
  std::erase_if(granted_, [this](const auto& each) {
    if (!calls_.empty(each.second)) return false;
    spare_.push_back(each.second);
    return true;
  });
}

// Ends a round without a grant: its calls wait for the next one, its askers ask again.
void Reads::collect_again(std::size_t position) {
  Round& round = rounds_[position];
  refuse(round.askers);
  calls_.splice(collecting_, round.calls);
  spare_.push_back(round.calls);
  rounds_.erase(rounds_.begin() + static_cast<std::ptrdiff_t>(position));
  host_.touch();
}

void Reads::refuse(std::vector<Asker>& askers) {
  for (const Asker& asker : askers) {
    host_.transport.send(asker.from, ReadIndexReply{asker.id, false, {}});
  }
  askers.clear();
}

// --- Ends.

// Serves the calls of a queue: the index that they were granted is applied.
void Reads::serve(Table::Queue queue) {
  while (const WaiterHandle handle = calls_.front(queue)) {
    Call* call = calls_.find(handle);
    if (call->min_revision <= host_.applied) {
      finish(handle, Unit{});
      continue;
    }
    calls_.leave(handle);
    call->by_revision = true;
    by_revision_.emplace(call->min_revision, handle);
  }
  spare_.push_back(queue);
}

void Reads::applied() {
  while (!granted_.empty() && granted_.begin()->first <= host_.applied) {
    const Table::Queue queue = granted_.begin()->second;
    granted_.erase(granted_.begin());
    serve(queue);
  }
  while (!by_revision_.empty() && by_revision_.begin()->first <= host_.applied) {
    finish(by_revision_.begin()->second, Unit{});
  }
}

void Reads::finish(WaiterHandle handle, Status status) {
  Call call = calls_.take(handle);
  if (call.by_revision) by_revision_.erase({call.min_revision, handle});
  if (call.waiting != nullptr) *call.waiting = {};
  host_.answers.read(std::move(call.done), std::move(status));
  host_.touch();
}

void Reads::role_changed() {
  not_before_ = 0;
  for (std::size_t i = rounds_.size(); i-- > 0;) {
    // The own core answers each round; a node that leads no more may not.
    if (rounds_[i].read.value == 0 && rounds_[i].leader != host_.core->leader()) collect_again(i);
  }
}

void Reads::tick() {
  calls_.expire(host_.now, [this](WaiterHandle handle) {
    const bool by_revision = calls_.find(handle)->by_revision;
    finish(handle,
           fail(Errc::unavailable, by_revision ? "this node has not come as far as min_revision yet"
                                               : "no leader confirmed the read in time"));
  });
  forget_expired();
  bool late = false;
  for (std::size_t i = rounds_.size(); i-- > 0;) {
    const Round& round = rounds_[i];
    if (round.read.value != 0 || host_.now - round.sent < timeout_) continue;
    late = true;
    collect_again(i);
  }
  if (late) set_timeout(2 * timeout_);
}

void Reads::stop() {
  for (const WaiterHandle handle : calls_.all()) {
    finish(handle, fail(Errc::unavailable, "this node is stopping"));
  }
}

}  // namespace iris
