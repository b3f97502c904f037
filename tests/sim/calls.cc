#include "tests/sim/calls.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "tests/sim/report.h"
#include "tests/sim/world.h"

namespace iris::sim {
namespace {

std::string describe(const Operation& operation) {
  const auto condition = [](const std::optional<std::uint64_t>& revision) {
    return revision ? " if " + std::to_string(*revision) : std::string();
  };
  if (const auto* set = std::get_if<SetValue>(&operation)) {
    return "set " + set->source + "/" + set->key + " = " + set->value.substr(0, 12) +
           condition(set->if_revision);
  }
  if (const auto* remove = std::get_if<RemoveValue>(&operation)) {
    return "remove " + remove->source + "/" + remove->key + condition(remove->if_revision);
  }
  if (const auto* source = std::get_if<RemoveSource>(&operation)) {
    return "remove source " + source->source;
  }
  if (const auto* begin = std::get_if<Subscribe>(&operation)) {
    return begin->session + " subscribe " + begin->source + "/" + begin->key.value_or("*");
  }
  if (const auto* end = std::get_if<Unsubscribe>(&operation)) {
    return end->session + " unsubscribe " + end->source + "/" + end->key.value_or("*");
  }
  return "other";
}

// The entry has the command, in the version of whatever level was in force when it was proposed.
bool is_of(const raft::Command& command, const Operation& operation) {
  const std::optional<raft::Level> level = level_of(command);
  return level && command == encode(operation, *level);
}

const std::string& unique_value(const Operation& operation) {
  static const std::string none;
  const auto* set = std::get_if<SetValue>(&operation);
  return set == nullptr ? none : set->value;
}

}  // namespace

// --- Every call.

Calls::CallPtr Calls::begin(Host& host, std::string text, std::uint64_t deadline_ms, Then then) {
  CHECK(host.runs());
  auto call = std::make_shared<Call>();
  call->text = std::move(text);
  call->host = &host;
  call->life = host.life();
  call->begun_us = world_.now_us();
  call->paused_us = host.paused_us();
  call->deadline_ms = deadline_ms;
  call->floor = floor_;
  call->then = std::move(then);
  open_.push_back(call);
  watch_time(call);
  return call;
}

// A node answers by its own clock, which may be half as fast as simulated time, or stand still.
void Calls::watch_time(const CallPtr& call) {
  const std::uint64_t tick_us = std::uint64_t{world_.options.node.tick_ms} * 1000;
  const std::uint64_t patience_us = 2 * (call->deadline_ms * 1000 + 4 * tick_us) + 100'000;
  world_.timeline.after(patience_us, [this, call] {
    if (call->node_answered || call->host->life() != call->life || !call->host->runs()) return;
    if (call->host->paused_us() == call->paused_us) {
      violation("LV", call->text + " on h" + std::to_string(call->host->number()) + " begun at " +
                          std::to_string(call->begun_us) + " us was not answered");
    }
    finish(*call, CallResult::unknown, 0);  // the client turns to another node
  });
}

bool Calls::answered(Call& call) {
  if (call.host->doomed()) return false;
  VERIFY(!call.inside, "NC", call.text + " was answered from inside the call");
  VERIFY(!call.node_answered, "EO", call.text + " was answered twice");
  call.node_answered = true;
  return true;
}

void Calls::finish(Call& call, CallResult answer, std::uint64_t point) {
  floor_ = std::max(floor_, point);
  if (std::exchange(call.finished, true)) return;
  TRACE(call.host->tag(), call.text + ": " +
                              (answer == CallResult::ok                 ? "ok at "
                               : answer == CallResult::condition_failed ? "condition failed at "
                               : answer == CallResult::refused          ? "not done "
                                                                        : "unknown ") +
                              std::to_string(point));
  std::erase_if(open_, [&call](const CallPtr& each) { return each.get() == &call; });
  if (call.then) call.then(answer, point);
}

void Calls::process_ended(const Host& host, std::uint64_t life) {
  std::vector<CallPtr> lost;
  for (const CallPtr& call : open_) {
    if (call->host == &host && call->life == life) lost.push_back(call);
  }
  for (const CallPtr& call : lost) finish(*call, CallResult::unknown, 0);
}

// --- Writes.

void Calls::write(Host& host, Operation operation, std::uint64_t deadline_ms, Then then) {
  const CallPtr call = begin(host, describe(operation), deadline_ms, std::move(then));
  call->operation = std::move(operation);
  TRACE(host.tag(), call->text + " ...");
  host.enter_life(call->life, [this, call] {
    call->host->node().submit(call->operation, call->deadline_ms,
                              [this, call](const Result<Outcome>& result) {
                                if (answered(*call)) judge_write(*call, result);
                              });
    call->inside = false;
  });
}

void Calls::judge_write(Call& call, const Result<Outcome>& result) {
  if (result) {
    VERIFY(result->code != Outcome::Code::malformed, "NC", call.text + " is malformed");
    if (result->code == Outcome::Code::condition_failed) {
      judge_condition(call, *result);
    } else {
      judge_done(call, *result);
    }
    return;
  }
  switch (result.error().code) {
    case Errc::unknown_outcome:
      ++world_.stats.writes_unknown;
      finish(call, CallResult::unknown, 0);
      return;
    case Errc::unavailable:
    case Errc::limit:
      ++world_.stats.writes_failed;
      if (!unique_value(call.operation).empty()) world_.ghost.deny(unique_value(call.operation));
      finish(call, CallResult::refused, 0);
      return;
    default:
      violation("NC", call.text + " was answered: " + result.error().text);
  }
}

void Calls::judge_done(Call& call, const Outcome& outcome) {
  Ghost& ghost = world_.ghost;
  ++world_.stats.writes_ok;
  const raft::Index revision{outcome.revision};
  VERIFY(revision.value > 0 && revision <= ghost.committed(), "ACK",
         call.text + " is acknowledged at " + std::to_string(revision.value) +
             ", which is not committed");
  const Committed& committed = ghost.at(revision);
  const auto* command = std::get_if<raft::Command>(&committed.entry->payload);
  VERIFY(command != nullptr && is_of(*command, call.operation), "ACK",
         call.text + " is acknowledged at " + std::to_string(revision.value) +
             ", where another command is");
  VERIFY(outcome == committed.outcome, "LIN", call.text + ": another outcome than committed");
  VERIFY(revision.value > call.floor, "LIN",
         call.text + " is at " + std::to_string(revision.value) + ", but " +
             std::to_string(call.floor) + " was known before it began");
  VERIFY(ghost.claim(revision), "EO", call.text + ": its revision was given to another call");
  finish(call, CallResult::ok, revision.value);
}

// The answer does not say the command's index. The first entry that fits is taken: equal commands
// are interchangeable.
void Calls::judge_condition(Call& call, const Outcome& outcome) {
  Ghost& ghost = world_.ghost;
  ++world_.stats.writes_failed;
  for (raft::Index at{call.floor + 1}; at <= ghost.committed(); at = at.next()) {
    const Committed& committed = ghost.at(at);
    if (!(committed.outcome == outcome) || ghost.claimed(at)) continue;
    const auto* there = std::get_if<raft::Command>(&committed.entry->payload);
    if (there == nullptr || !is_of(*there, call.operation)) continue;
    ghost.claim(at);
    finish(call, CallResult::condition_failed, at.value);
    return;
  }
  violation("LIN", call.text + ": no committed command failed like this");
}

// --- Reads.

bool Calls::may_serve(Call& call, const Status& status) {
  if (status) return true;
  const Errc code = status.error().code;
  VERIFY(code == Errc::unavailable || code == Errc::limit, "NC",
         call.text + " was answered: " + status.error().text);
  ++world_.stats.reads_failed;
  finish(call, CallResult::refused, 0);
  return false;
}

Calls::CallPtr Calls::begin_read(Host& host, std::string text, Consistency consistency,
                                 std::uint64_t min_revision, std::uint64_t deadline_ms, Then then,
                                 const std::function<void(const CallPtr&)>& serve) {
  CallPtr call = begin(host, std::move(text), deadline_ms, std::move(then));
  call->linearizable = consistency == Consistency::linearizable;
  call->min_revision = min_revision;
  if (!call->linearizable) call->floor = min_revision;
  host.enter_life(call->life, [this, call, consistency, serve] {
    call->host->node().read(consistency, call->min_revision, call->deadline_ms,
                            [this, call, serve](const Status& status) {
                              if (answered(*call) && may_serve(*call, status)) serve(call);
                            });
    call->inside = false;
  });
  return call;
}

void Calls::get(Host& host, const std::string& source, const std::string& key,
                Consistency consistency, std::uint64_t min_revision, std::uint64_t deadline_ms,
                Then then) {
  const auto serve = [this, source, key](const CallPtr& call) {
    store::Store& store = call->host->store();
    Value value;
    const store::Found found = get_value(store.cached(), source, key, value);
    if (found != store::Found::incomplete) {
      judge_get(*call, source, key,
                {found == store::Found::yes, value.bytes,
                 found == store::Found::yes ? value.revision : 0});
      return;
    }
    auto read = std::make_shared<KeyModel::Read>();
    store.read(
        [source, key, read](const store::View& view) {
          Value there;
          read->found = get_value(view, source, key, there) == store::Found::yes;
          if (read->found) *read = {true, there.bytes, there.revision};
        },
        [this, call, source, key, read] {
          if (!call->host->doomed()) judge_get(*call, source, key, *read);
        });
  };
  begin_read(host, "get " + source + "/" + key, consistency, min_revision, deadline_ms,
             std::move(then), serve);
}

void Calls::judge_get(Call& call, const std::string& source, const std::string& key,
                      const KeyModel::Read& read) {
  const std::optional<std::uint64_t> point =
      world_.ghost.keys().point_of(source, key, read, call.floor);
  VERIFY(point.has_value(), call.linearizable ? "RL" : "WP",
         call.text + " gave " +
             (read.found ? "revision " + std::to_string(read.revision) : "none") +
             ", which was not the value at or after " + std::to_string(call.floor));
  ++world_.stats.reads_checked;
  finish(call, CallResult::ok, call.linearizable ? *point : 0);
}

void Calls::judge_view(Call& call, std::uint64_t applied, bool equal) {
  VERIFY(applied >= call.floor, "RL",
         call.text + " was served from " + std::to_string(applied) + ", but " +
             std::to_string(call.floor) + " was known before it began");
  VERIFY(equal, "LIN",
         call.text + " gave other rows than were there at " + std::to_string(applied));
  ++world_.stats.reads_checked;
  finish(call, CallResult::ok, call.linearizable ? applied : 0);
}

void Calls::list_keys(Host& host, const std::string& source, Consistency consistency,
                      std::uint64_t min_revision, std::uint64_t deadline_ms, Then then) {
  const auto serve = [this, source](const CallPtr& call) {
    auto rows = std::make_shared<std::vector<KeyModel::Row>>();
    auto applied = std::make_shared<std::uint64_t>();
    call->host->store().read(
        [source, rows, applied](const store::View& view) {
          *applied = view.applied().value;
          iris::list_keys(view, source, {}, [&rows](std::string_view key, const ValueView& value) {
            rows->emplace_back(key, value.revision);
            return true;
          });
        },
        [this, call, source, rows, applied] {
          if (call->host->doomed()) return;
          judge_view(*call, *applied, *rows == world_.ghost.keys().keys_at(source, *applied));
        });
  };
  begin_read(host, "keys of " + source, consistency, min_revision, deadline_ms, std::move(then),
             serve);
}

void Calls::list_sources(Host& host, Consistency consistency, std::uint64_t min_revision,
                         std::uint64_t deadline_ms, Then then) {
  const auto serve = [this](const CallPtr& call) {
    auto names = std::make_shared<std::vector<std::string>>();
    auto applied = std::make_shared<std::uint64_t>();
    call->host->store().read(
        [names, applied](const store::View& view) {
          *applied = view.applied().value;
          iris::list_sources(view, {}, [&names](std::string_view source) {
            names->emplace_back(source);
            return true;
          });
        },
        [this, call, names, applied] {
          if (call->host->doomed()) return;
          judge_view(*call, *applied, *names == world_.ghost.keys().sources_at(*applied));
        });
  };
  begin_read(host, "sources", consistency, min_revision, deadline_ms, std::move(then), serve);
}

// --- Administration.

void Calls::admin(Host& host, AdminRequest request, std::uint64_t deadline_ms,
                  const std::function<void(bool, const std::string&)>& then) {
  const CallPtr call =
      begin(host, "admin call", deadline_ms, [then](CallResult answer, std::uint64_t) {
        if (answer == CallResult::unknown) then(false, "unknown");
      });
  host.enter_life(call->life, [this, call, request = std::move(request), then] {
    call->host->node().admin(request, call->deadline_ms,
                             [this, call, then](const Result<raft::NodeId>& result) {
                               if (!answered(*call)) return;
                               const std::string text = result ? "done" : result.error().text;
                               finish(*call, result ? CallResult::ok : CallResult::refused, 0);
                               then(result.has_value(), text);
                             });
    call->inside = false;
  });
}

}  // namespace iris::sim
