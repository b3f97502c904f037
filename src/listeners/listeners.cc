#include "src/listeners/listeners.h"

#include <algorithm>
#include <utility>

#include "raft/check.h"
#include "src/listeners/budget.h"
#include "src/listeners/shared.h"

namespace iris {

using listening::Barrier;
using listening::Digest;
using listening::Listener;
using listening::Live;
using listening::Loading;
using listening::Shared;
using listening::Stalled;
using listening::State;
using Kind = CommandView::Kind;

namespace {

constexpr std::uint64_t sweep_ms_min = 50;  // from one sweep of all listeners to the next
// Of one tick, so that it is over in a few milliseconds: with 100,000 listeners a sweep takes ten
// ticks (hazard 127).
constexpr std::size_t sweep_units = 10'000;
constexpr std::size_t beat_units = 4;
constexpr std::size_t close_units = 20;
constexpr const char* stopping_text = "this node is stopping: listen at another one";

bool changes_session(Kind kind) {
  return kind == Kind::subscribe || kind == Kind::unsubscribe || kind == Kind::expire_sessions;
}

}  // namespace

Listeners::Listeners(ListenersOptions options, store::Store& store, const History& history,
                     ListenersHooks hooks)
    : shared_(std::make_unique<Shared>(options, store, history, std::move(hooks))),
      sweep_ms_(sweep_ms_min) {}
Listeners::~Listeners() = default;

void Listeners::start() {
  Shared& shared = *shared_;
  shared.purge.raise_floor(shared.history.first().value - 1);
  const std::uint64_t applied = shared.history.applied().value;
  shared.tail.restart(applied);
  struct Learned {
    std::uint64_t purged = 0;
    std::vector<std::uint64_t> no_ops;
  };
  auto learned = std::make_shared<Learned>();
  shared.reads.add(
      std::nullopt, nullptr,
      [learned](const store::View& view) {
        learned->purged = purged(view);
        list_no_ops(view, learned->purged, [&](std::uint64_t revision) {
          learned->no_ops.push_back(revision);
          return true;
        });
      },
      [&shared, learned, applied] {
        if (shared.tail_known) return;  // a snapshot was installed meanwhile
        const bool trimmed = shared.tail.first() != applied + 1;
        const std::uint64_t floor = std::max(learned->purged, shared.purge.floor());
        if (!trimmed) shared.tail.learn(shared.history, floor, learned->no_ops);
        Barrier::tail_is_known(shared);
        shared.purge.allow(learned->purged);
        shared.purge.run();
      });
}

// --- Streams.

Result<ListenerId> Listeners::open(ListenSpec spec, UpdateStream& stream) {
  Shared& shared = *shared_;
  CHECK(!spec.session.empty());
  if (stopping_) return fail(Errc::unavailable, stopping_text);
  if (Listener* former = shared.find(spec.session)) {
    shared.close(*former, StreamEnd::aborted, "another Listen took this session over");
  }
  if (shared.listeners.size() >= shared.options.listeners_max) {
    return fail(Errc::limit, "this node serves " + std::to_string(shared.listeners.size()) +
                                 " Listen streams, which is its limit (-max-listeners)");
  }
  Listener& listener = shared.add(std::move(spec), stream);
  shared.hooks.opened(listener.spec.session);
  Barrier::enter(shared, listener);
  return listener.id;
}

void Listeners::writable(ListenerId id) {
  Shared& shared = *shared_;
  Listener* listener = shared.find(id);
  if (listener == nullptr) return;
  listener->queue.set_writable();
  if (listener->queue.has_small_write()) {  // at once; the rest in its turn
    std::size_t one_write = 1;
    listener->queue.write(listener->subscriptions.filter(), shared.tick, one_write);
  }
  shared.turns.make_ready(*listener);
}

void Listeners::cancelled(ListenerId id) {
  if (Listener* listener = shared_->find(id)) shared_->forget(*listener);
}

void Listeners::pump() { shared_->turns.run(*shared_); }

void Listeners::stop() {
  stopping_ = true;
  auto& listeners = shared_->listeners;
  while (!listeners.empty()) {
    shared_->close(*listeners.begin()->second, StreamEnd::unavailable, stopping_text);
  }
}

std::optional<raft::Index> Listeners::keeps_log_after() const {
  const auto least = shared_->log_pins.least();
  if (!least) return std::nullopt;
  return raft::Index{*least};
}

ListenersStatus Listeners::status() const {
  ListenersStatus status = shared_->status;
  status.queued_bytes = shared_->queued.bytes();
  status.queued_bytes_max = shared_->options.queued_bytes_max;
  status.states = shared_->views;
  return status;
}

// --- The log.

void Listeners::on_applied(const raft::EntryPtr& entry, const Outcome& outcome) {
  const auto command = parse(std::get<raft::Command>(entry->payload));
  const bool effective = command && outcome.changed;
  shared_->tail.append(entry->id.index.value,
                       effective ? listening::digest_of(*command) : Digest{});
  if (!command || outcome.code != Outcome::Code::done) return;
  if (changes_session(command->kind)) {
    change_sessions(entry, *command);
  } else if (outcome.changed) {
    publish(entry, *command);
  }
  if (!shared_->states_to_begin.empty()) shared_->turns.schedule();
}

void Listeners::publish(const raft::EntryPtr& entry, const CommandView& command) {
  Shared& shared = *shared_;
  const std::uint64_t revision = entry->id.index.value;
  if (command.kind == Kind::remove_source) {
    shared.matcher.match_source(command.source, [&](std::uint64_t id) {
      if (Listener* listener = shared.find_matched(id)) {
        Live::deliver_removal(shared, *listener, revision);
      }
    });
    return;
  }
  UpdatePtr update;  // made once, if anybody wants it
  shared.matcher.match(command.source, *command.key, revision, [&](std::uint64_t id) {
    Listener* listener = shared.find_matched(id);
    if (listener == nullptr) return;
    if (!update) update = shared.updates.update_of(entry, command);
    Live::deliver(shared, *listener, update);
  });
}

void Listeners::change_sessions(const raft::EntryPtr& entry, const CommandView& command) {
  const auto change = [&](std::string_view session) {
    if (Listener* listener = shared_->find(session)) {
      Loading::session_changed(*shared_, *listener, entry, command);
    }
  };
  if (command.kind != Kind::expire_sessions) return change(command.session);
  for (const std::string_view session : command.sessions) change(session);
}

void Listeners::on_trimmed(raft::Index floor) {
  shared_->tail.trim(floor.value);
  shared_->purge.raise_floor(floor.value);
  shared_->purge.run();
}

void Listeners::on_installed(raft::Index index) {
  Shared& shared = *shared_;
  const std::uint64_t seen = shared.tail.last();
  shared.tail.restart(index.value);
  shared.purge.raise_floor(index.value);
  shared.tombstone_reads.forget_pages();
  shared.reload.begin(shared, seen);
  Barrier::tail_is_known(shared);
  shared.purge.allow(0);
  shared.purge.run();
}

// --- Time.

void Listeners::tick(bool leader_known) {
  Shared& shared = *shared_;
  ++shared.tick;
  const std::uint32_t tick_ms = shared.options.tick_ms;
  leaderless_ms_ = leader_known ? 0 : leaderless_ms_ + tick_ms;
  if (!shared.states_to_begin.empty()) shared.turns.schedule();
  const std::uint64_t period = std::max<std::uint64_t>(1, sweep_ms_min / tick_ms);
  if (!sweeping_ && shared.tick % period == 0) {
    sweeping_ = true;
    swept_ = {};
    sweep_tick_ = shared.tick;
  }
  if (sweeping_) sweep_piece(leader_known);
}

void Listeners::sweep_piece(bool leader_known) {
  Shared& shared = *shared_;
  std::size_t units = sweep_units;
  auto next = shared.listeners.upper_bound(swept_);
  while (next != shared.listeners.end() && units > 0) {
    Listener& listener = *next->second;
    ++next;  // the sweep may end it
    swept_ = listener.id;
    listening::spend(units, sweep(listener, leader_known));
  }
  if (next != shared.listeners.end()) return;
  sweeping_ = false;
  const std::uint64_t took_ms = shared.ms_since(sweep_tick_);
  sweep_ms_ = (took_ms / sweep_ms_min + 1) * sweep_ms_min;
}

std::size_t Listeners::sweep(Listener& listener, bool leader_known) {
  Shared& shared = *shared_;
  if (shared.reload.is_due(listener.id)) return 1;
  std::uint64_t stall_ms = shared.options.stall_ms;
  if (!shared.states_waiting.empty() && listener.is_in<State>()) {
    stall_ms = std::min<std::uint64_t>(stall_ms, shared.options.state_stall_ms);
  }
  const bool stalled =
      !listener.queue.writable() && shared.ms_since(listener.queue.written_tick()) >= stall_ms;
  if (stalled) Stalled::enter_or_unpin(shared, listener);
  if (listener.spec.heartbeat_ms == 0) return 1;
  if (leaderless_ms_ >= shared.options.isolation_ms) {
    shared.close(listener, StreamEnd::unavailable,
                 "this node hears no leader: listen at another one");
    return close_units;
  }
  if (leader_known) Live::heartbeat(shared, listener, sweep_ms_);
  return beat_units;
}

}  // namespace iris
