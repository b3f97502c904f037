#include "src/listeners/loading.h"

#include <memory>
#include <utility>

#include "src/listeners/shared.h"

namespace iris::listening {
namespace {

constexpr const char* expired_text = "the session expired: subscribe again";
constexpr const char* unknown_text =
    "the session has no subscriptions, or they expired: subscribe again";

// False where the session expired: the listener is gone then.
bool apply_change(Shared& shared, Listener& listener, std::uint64_t revision,
                  const CommandView& command) {
  const auto change = listener.subscriptions.apply(revision, command);
  if (change == Subscriptions::Change::ended) listener.queue.prune_later();
  if (change != Subscriptions::Change::expired) return true;
  shared.close(listener, StreamEnd::not_found, expired_text);
  return false;
}

// The first stage after the session is known.
void begin(Shared& shared, Listener& listener) {
  listener.begun = true;
  Subscriptions& subscriptions = listener.subscriptions;
  const std::uint64_t applied = shared.history.applied().value;
  const std::uint64_t after = listener.spec.after_revision;
  // A client that asks for what it missed, or for the state, must not take the silence of an
  // expired session for an answer. One that asks for neither may listen first and subscribe later.
  if (!subscriptions.is_replicated() && (after > 0 || listener.spec.send_initial)) {
    return shared.close(listener, StreamEnd::not_found, unknown_text);
  }
  if (listener.spec.send_initial) return State::enter(shared, listener, false);
  if (after == 0) {
    const auto first = subscriptions.filter().first_since();
    return Replay::enter(shared, listener, first.value_or(applied));
  }
  // Past the barrier, a revision beyond what is applied never was one of this cluster's: a backup
  // was restored, or the client comes from another cluster (hazard 86).
  if (after > std::max(applied, subscriptions.loaded())) {
    return State::enter(shared, listener, true);
  }
  if (listener.spec.earlier) subscriptions.lower_since(after);
  Replay::enter(shared, listener, after);
}

void take(Shared& shared, Listener& listener, Subscriptions::Loaded result) {
  // Only a snapshot can carry both the end of a session and its new beginning.
  if (!listener.subscriptions.set(std::move(result))) {
    return shared.close(listener, StreamEnd::not_found, expired_text);
  }
  if (!shared.retired.empty()) shared.turns.schedule();
  for (const raft::EntryPtr& entry : std::exchange(std::get<Loading>(listener.stage).changes, {})) {
    if (!apply_change(shared, listener, entry->id.index.value, command_of(*entry))) return;
  }
  if (!listener.begun) return begin(shared, listener);
  // The session may have expired in the snapshot, even if it was made in there: a client that is
  // not told so would wait for updates for ever.
  if (!listener.subscriptions.is_replicated()) {
    return shared.close(listener, StreamEnd::not_found, unknown_text);
  }
  State::enter(shared, listener, true);
}

}  // namespace

void Loading::enter(Shared& shared, Listener& listener) {
  change_stage(shared, listener, Loading{});
  listener.log_pin.reset();
  auto result = std::make_shared<Subscriptions::Loaded>();
  const Job job = listener.current_job();
  shared.reads.add(
      job, nullptr,
      [result, session = listener.spec.session](const store::View& view) {
        *result = Subscriptions::load(view, session);
      },
      [&shared, result, job] {
        if (Listener* waiting = shared.find(job)) take(shared, *waiting, std::move(*result));
      });
}

void Loading::session_changed(Shared& shared, Listener& listener, const raft::EntryPtr& entry,
                              const CommandView& command) {
  // Not loaded yet, or to be loaded again: the read that follows will see it.
  if (listener.is_in<Barrier>() || shared.reload.is_due(listener.id)) return;
  if (auto* loading = std::get_if<Loading>(&listener.stage)) {
    return loading->changes.push_back(entry);
  }
  apply_change(shared, listener, entry->id.index.value, command);
}

}  // namespace iris::listening
