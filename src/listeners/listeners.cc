#include "src/listeners/listeners.h"

#include <algorithm>

#include "raft/check.h"
#include "src/listeners/hub.h"

namespace iris {
namespace {

using Kind = CommandView::Kind;

constexpr std::uint64_t sweep_ms = 50;  // between looks at every listener

constexpr const char* expired_text = "the session expired: subscribe again";
constexpr const char* unknown_text =
    "the session has no subscriptions, or they expired: subscribe again";

bool changes_session(Kind kind) {
  return kind == Kind::subscribe || kind == Kind::unsubscribe || kind == Kind::expire_sessions;
}

CommandView parse_applied(const raft::Entry& entry) {
  const auto command = parse(std::get<raft::Command>(entry.payload));
  CHECK(command.has_value());  // it had an effect
  return command.value();
}

ListenersOptions checked(ListenersOptions options) {
  CHECK(options.tick_ms > 0 && options.buffer_bytes > 0 && options.listeners_max > 0);
  CHECK(options.page_rows > 0 && options.reads_max > 0 && options.purge_records > 0);
  // What comes from the store or the log is fetched in pieces that leave room in a small buffer.
  options.page_bytes = std::clamp<std::size_t>(options.page_bytes, 1,
                                               std::max<std::size_t>(options.buffer_bytes / 2, 1));
  return options;
}

}  // namespace

// --- The face.

Listeners::Listeners(ListenersOptions options, store::Store& store, const History& history,
                     ListenersHooks hooks)
    : hub_(std::make_shared<Hub>(options, store, history, std::move(hooks))) {}
Listeners::~Listeners() = default;
void Listeners::start() { hub_->start(); }
Result<ListenerId> Listeners::open(ListenSpec spec, UpdateStream& stream) {
  return hub_->open(std::move(spec), stream);
}
void Listeners::writable(ListenerId id) { hub_->writable(id); }
void Listeners::cancelled(ListenerId id) { hub_->cancelled(id); }
void Listeners::on_applied(const raft::EntryPtr& entry, const Outcome& outcome) {
  hub_->on_applied(entry, outcome);
}
void Listeners::on_installed(raft::Index index) { hub_->on_installed(index); }
void Listeners::on_trimmed(raft::Index floor) { hub_->on_trimmed(floor); }
void Listeners::pump() { hub_->pump(); }
void Listeners::tick(bool leader_known) { hub_->tick(leader_known); }
void Listeners::stop() { hub_->stop(); }
std::vector<std::string> Listeners::served() const { return hub_->served(); }
std::optional<raft::Index> Listeners::keeps_log_after() const { return hub_->keeps_log_after(); }
ListenersStatus Listeners::status() const { return hub_->status(); }

Listeners::Hub::Hub(ListenersOptions options, store::Store& store, const History& history,
                    ListenersHooks hooks)
    : options_(checked(options)), store_(store), history_(history), hooks_(std::move(hooks)) {}

// --- The log tail.

void Listeners::Hub::start() {
  const std::uint64_t applied = history_.applied().value;
  trimmed_ = history_.first().value - 1;
  tail_.restart(applied);
  struct Learned {
    std::uint64_t purged = 0;
    std::vector<std::uint64_t> voids;
  };
  auto learned = std::make_shared<Learned>();
  read(
      std::nullopt, nullptr,
      [learned](const store::View& view) {
        learned->purged = purged(view);
        list_no_ops(view, learned->purged, [&](std::uint64_t revision) {
          learned->voids.push_back(revision);
          return true;
        });
      },
      [this, learned, applied] {
        if (tail_known_) return;  // a snapshot came meanwhile
        learn_tail(learned->purged, applied, learned->voids);
        tail_known_ = true;
        for (const ListenerId id : std::exchange(early_, {})) {
          if (Listener* listener = find(id)) load(*listener);
        }
        purged_ = learned->purged;
        purge_graves();
      });
}

void Listeners::Hub::learn_tail(std::uint64_t purged, std::uint64_t applied,
                                const std::vector<std::uint64_t>& voids) {
  if (tail_.first() != applied + 1) return;  // trimmed meanwhile
  for (std::uint64_t index = applied; index > std::max(purged, trimmed_); --index) {
    const raft::EntryPtr entry = history_.entry({index});
    if (!entry) return;
    const auto* command = std::get_if<raft::Command>(&entry->payload);
    const bool effective =
        command != nullptr && !std::binary_search(voids.begin(), voids.end(), index);
    tail_.prepend(effective ? digest_of(parse_applied(*entry)) : Digest{});
  }
}

void Listeners::Hub::on_trimmed(raft::Index floor) {
  tail_.trim(floor.value);
  trimmed_ = std::max(trimmed_, floor.value);
  purge_graves();
}

void Listeners::Hub::purge_graves() {
  if (purging_ || !tail_known_) return;
  std::uint64_t floor = trimmed_;
  if (!kept_graves_.empty()) floor = std::min(floor, *kept_graves_.begin() - 1);
  if (floor <= purged_) return;
  purging_ = true;
  auto more = std::make_shared<bool>(false);
  store_.maintain([more, floor, records = options_.purge_records](
                      store::Batch& batch) { *more = purge(batch, floor, records); },
                  [weak = weak_from_this(), more, floor] {
                    const auto hub = weak.lock();
                    if (!hub) return;
                    hub->purging_ = false;
                    if (!*more) hub->purged_ = std::max(hub->purged_, floor);
                    hub->purge_graves();
                  });
}

// --- Coming and going.

Listeners::Hub::Listener* Listeners::Hub::find(ListenerId id) const {
  const auto found = listeners_.find(id);
  return found == listeners_.end() ? nullptr : found->second.get();
}

Listeners::Hub::Listener* Listeners::Hub::find(ListenerId id, std::uint64_t job) const {
  Listener* listener = find(id);
  return listener != nullptr && listener->job == job ? listener : nullptr;
}

Result<ListenerId> Listeners::Hub::open(ListenSpec spec, UpdateStream& stream) {
  CHECK(!spec.session.empty());
  if (stopping_) return fail(Errc::unavailable, "this node is stopping: listen at another one");
  if (const auto former = sessions_.find(spec.session); former != sessions_.end()) {
    close(*former->second, StreamEnd::aborted, "another Listen took this session over");
  }
  if (listeners_.size() >= options_.listeners_max) {
    return fail(Errc::limit, "this node serves " + std::to_string(listeners_.size()) +
                                 " Listen streams, which is its limit (-max-listeners)");
  }
  auto made = std::make_unique<Listener>();
  Listener& listener = *made;
  listener.id = {++last_id_};
  listener.marks = spec.after_revision > 0 || spec.send_initial || spec.heartbeat_ms > 0;
  listener.spec = std::move(spec);
  listener.stream = &stream;
  listener.written_tick = tick_;
  sessions_.emplace(listener.spec.session, &listener);
  listeners_.emplace(listener.id, std::move(made));
  status_.listeners = listeners_.size();
  hooks_.opened(listener.spec.session);
  hooks_.barrier([weak = weak_from_this(), id = listener.id](const Status& status) {
    if (const auto hub = weak.lock()) hub->barrier_passed(id, status);
  });
  return listener.id;
}

void Listeners::Hub::barrier_passed(ListenerId id, const Status& status) {
  Listener* listener = find(id);
  if (listener == nullptr || listener->stage != Stage::barrier) return;
  if (!status) return close(*listener, StreamEnd::unavailable, status.error().text);
  if (!tail_known_) return early_.push_back(id);
  load(*listener);
}

void Listeners::Hub::writable(ListenerId id) {
  Listener* listener = find(id);
  if (listener == nullptr) return;
  listener->writable = true;
  // One small write at once, the rest in its turn.
  const bool at_once = !listener->prune_due && !listener->queue.empty() &&
                       listener->queue.front()->cost_bytes() < great_bytes_min;
  std::size_t work = at_once ? 1 : 0;
  drain(*listener, work);
  make_ready(*listener);
}

void Listeners::Hub::cancelled(ListenerId id) {
  if (Listener* listener = find(id)) forget(*listener);
}

void Listeners::Hub::close(Listener& listener, StreamEnd end, const std::string& text) {
  UpdateStream* stream = listener.stream;
  forget(listener);
  stream->close(end, text);
}

void Listeners::Hub::forget(Listener& listener) {
  leave_stage(listener);
  keep_log(listener, std::nullopt);
  set_filter(listener, {});
  status_.queued_bytes -= listener.queue_bytes;
  sessions_.erase(listener.spec.session);
  listeners_.erase(ListenerId(listener.id));
  status_.listeners = listeners_.size();
}

void Listeners::Hub::stop() {
  stopping_ = true;
  while (!listeners_.empty()) {
    close(*listeners_.begin()->second, StreamEnd::unavailable,
          "this node is stopping: listen at another one");
  }
}

std::vector<std::string> Listeners::Hub::served() const {
  std::vector<std::string> sessions;
  sessions.reserve(sessions_.size());
  for (const auto& [session, listener] : sessions_) sessions.push_back(session);
  return sessions;
}

std::optional<raft::Index> Listeners::Hub::keeps_log_after() const {
  if (kept_log_.empty()) return std::nullopt;
  return raft::Index{*kept_log_.begin()};
}

// --- The session of a listener.

struct Listeners::Hub::Loaded {
  std::uint64_t revision = 0;
  std::optional<SessionInfo> info;
  Filter filter;
};

void Listeners::Hub::load(Listener& listener) {
  leave_stage(listener);
  keep_log(listener, std::nullopt);
  listener.stage = Stage::loading;
  listener.changes.clear();
  auto result = std::make_shared<Loaded>();
  read(
      ReadFor{listener.id, listener.job}, nullptr,
      [result, session = listener.spec.session](const store::View& view) {
        result->revision = view.applied().value;
        result->info = find_session(view, session);
        list_subscriptions(view, session, [&](const SubscriptionView& subscription) {
          result->filter.add(subscription.source, subscription.key, subscription.since);
          return true;
        });
      },
      [this, result, id = listener.id, job = listener.job] {
        if (Listener* waiting = find(id, job)) loaded(*waiting, *result);
      });
}

void Listeners::Hub::loaded(Listener& listener, Loaded& result) {
  const SessionInfo info = result.info.value_or(SessionInfo{});
  // Both in what came by snapshot. Who knows nothing of it takes its subscriptions for unbroken.
  const bool has_expired = listener.known && result.info && info.born != listener.born;
  if (has_expired) return close(listener, StreamEnd::not_found, expired_text);
  set_filter(listener, std::move(result.filter));
  listener.loaded = result.revision;
  listener.known = result.info.has_value();
  listener.subscribed = info.subscribed;
  listener.born = info.born;
  for (const raft::EntryPtr& entry : std::exchange(listener.changes, {})) {
    if (!apply_change(listener, entry->id.index.value, parse_applied(*entry))) return;
  }
  if (!listener.begun) return begin(listener);
  // It may have expired in what came by snapshot, even if it was made in there: who is not told
  // would wait for updates for ever.
  if (!listener.known) return close(listener, StreamEnd::not_found, unknown_text);
  begin_state(listener, true);
}

void Listeners::Hub::begin(Listener& listener) {
  listener.begun = true;
  const std::uint64_t applied = history_.applied().value;
  const std::uint64_t after = listener.spec.after_revision;
  // Who asks for what it missed, or for the state, must not take an expired session's nothing for
  // an answer. Who asks for neither may listen first, and subscribe then.
  if (!listener.known && (after > 0 || listener.spec.send_initial)) {
    return close(listener, StreamEnd::not_found, unknown_text);
  }
  if (listener.spec.send_initial) return begin_state(listener, false);
  if (after == 0) return replay_from(listener, listener.filter.first_since().value_or(applied));
  // Past the barrier, a revision beyond what is applied never was one of this cluster's: a restored
  // backup, or another cluster (hazard 86).
  if (after > std::max(applied, listener.loaded)) return begin_state(listener, true);
  if (listener.spec.earlier) {
    Filter all = listener.filter;
    all.lower_since(after);
    set_filter(listener, std::move(all));
  }
  replay_from(listener, after);
}

void Listeners::Hub::replay_from(Listener& listener, std::uint64_t position) {
  listener.stage = Stage::replay;
  listener.position = position;
  make_ready(listener);
}

void Listeners::Hub::set_filter(Listener& listener, Filter filter) {
  const auto each = [](const Filter& of, const auto& call) {
    for (const auto& [source, subscriptions] : of.sources()) {
      if (subscriptions.since) call(source, std::nullopt, *subscriptions.since);
      for (const auto& [key, since] : subscriptions.keys) call(source, key, since);
    }
  };
  using Key = std::optional<std::string_view>;
  each(listener.filter, [&](std::string_view source, Key key, std::uint64_t) {
    matcher_.remove(listener.id.value, source, key);
  });
  listener.filter = std::move(filter);
  each(listener.filter, [&](std::string_view source, Key key, std::uint64_t since) {
    matcher_.add(listener.id.value, source, key, since);
  });
}

void Listeners::Hub::change_session(const raft::EntryPtr& entry, const CommandView& command) {
  const auto change = [&](std::string_view session) {
    const auto found = sessions_.find(session);
    if (found == sessions_.end()) return;
    Listener& listener = *found->second;
    if (listener.stage == Stage::barrier) return;  // load() will see it
    if (listener.stage == Stage::loading) return listener.changes.push_back(entry);
    apply_change(listener, entry->id.index.value, command);
  };
  if (command.kind != Kind::expire_sessions) return change(command.session);
  for (const std::string_view session : command.sessions) change(session);
}

bool Listeners::Hub::apply_change(Listener& listener, std::uint64_t revision,
                                  const CommandView& command) {
  if (revision <= listener.loaded) return true;  // what was loaded knows it
  if (command.kind == Kind::subscribe) {
    if (!std::exchange(listener.known, true)) listener.born = revision;
    listener.subscribed = revision;
    if (listener.filter.add(command.source, command.key, revision)) {
      matcher_.add(listener.id.value, command.source, command.key, revision);
    }
  } else if (command.kind == Kind::unsubscribe) {
    if (listener.filter.remove(command.source, command.key)) {
      matcher_.remove(listener.id.value, command.source, command.key);
      listener.prune_due = true;  // before anything else is written: see drain()
    }
  } else if (listener.known && listener.subscribed <= command.up_to) {
    close(listener, StreamEnd::not_found, expired_text);
    return false;
  }
  return true;
}

// --- What happened.

void Listeners::Hub::on_applied(const raft::EntryPtr& entry, const Outcome& outcome) {
  const std::uint64_t index = entry->id.index.value;
  const auto command = parse(std::get<raft::Command>(entry->payload));
  tail_.append(index, command && outcome.changed ? digest_of(*command) : Digest{});
  if (!command || outcome.code != Outcome::Code::done) return;
  if (changes_session(command->kind)) {
    change_session(entry, *command);
  } else if (outcome.changed) {
    publish(entry, *command);
  }
  if (!beginning_.empty()) schedule();
}

void Listeners::Hub::publish(const raft::EntryPtr& entry, const CommandView& command) {
  const std::uint64_t revision = entry->id.index.value;
  if (command.kind == Kind::remove_source) {
    // Its keys are on disk: who is concerned fetches them, in its place in the order.
    matcher_.match_source(command.source, [&](std::uint64_t id) {
      Listener& listener = *find(ListenerId{id});
      if (listener.stage != Stage::live || revision <= listener.position) return;
      replay_from(listener, revision - 1);
    });
    return;
  }
  UpdatePtr update;
  matcher_.match(command.source, *command.key, revision, [&](std::uint64_t id) {
    if (!update) update = update_of(entry, command);
    deliver(*find(ListenerId{id}), update);
  });
}

void Listeners::Hub::deliver(Listener& listener, const UpdatePtr& update) {
  // Who is not live finds it in the log tail.
  if (listener.stage != Stage::live || update->revision <= listener.position) return;
  if (!listener.queue.empty() &&
      listener.queue_bytes + update->cost_bytes() > options_.buffer_bytes) {
    ++status_.overflows;
    return replay_from(listener, update->revision - 1);
  }
  push(listener, update);
  make_ready(listener);
}

void Listeners::Hub::on_installed(raft::Index index) {
  const std::uint64_t seen = tail_.last();
  tail_.restart(index.value);
  tail_known_ = true;
  trimmed_ = std::max(trimmed_, index.value);
  grave_reads_.clear();
  for (const auto& [id, listener] : listeners_) {
    if (listener->stage == Stage::barrier) continue;
    if (listener->stage == Stage::live) listener->position = std::max(listener->position, seen);
    load(*listener);
  }
  for (const ListenerId id : std::exchange(early_, {})) {
    if (Listener* listener = find(id)) load(*listener);
  }
  purge_graves();
}

// --- Time.

void Listeners::Hub::tick(bool leader_known) {
  ++tick_;
  leaderless_ms_ = leader_known ? 0 : leaderless_ms_ + options_.tick_ms;
  if (!beginning_.empty()) schedule();
  if (tick_ % std::max<std::uint64_t>(1, sweep_ms / options_.tick_ms) != 0) return;
  for (auto next = listeners_.begin(); next != listeners_.end();) {
    Listener& listener = *next->second;
    ++next;  // the sweep may end it
    sweep(listener, leader_known);
  }
}

void Listeners::Hub::sweep(Listener& listener, bool leader_known) {
  const std::uint64_t quiet_ms = (tick_ - listener.written_tick) * options_.tick_ms;
  if (!listener.writable && quiet_ms >= options_.stall_ms) {
    keep_log(listener, std::nullopt);
    if (listener.stage == Stage::grave) release_grave(listener);
    if (listener.stage == Stage::state || listener.stage == Stage::state_begins) {
      leave_stage(listener);
      listener.stage = Stage::stalled;
    }
  }
  if (listener.spec.heartbeat_ms == 0) return;
  if (leaderless_ms_ >= options_.isolation_ms) {
    return close(listener, StreamEnd::unavailable,
                 "this node hears no leader: listen at another one");
  }
  // Nothing may be promised by a node that does not know what happens elsewhere (hazard 94), nor
  // beyond what was written (hazard 90).
  if (!leader_known || listener.stage != Stage::live) return;
  if (!listener.queue.empty() || !listener.writable) return;
  const std::uint64_t beat_ms = std::max(listener.spec.heartbeat_ms, options_.heartbeat_ms_min);
  // The first at once: from then on the client has a revision to go on from.
  if (listener.told && quiet_ms + sweep_ms < beat_ms) return;
  push(listener, mark_update(Update::Op::bookmark, history_.applied().value));
  make_ready(listener);
}

}  // namespace iris
