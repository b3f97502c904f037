#include "src/listeners/shared.h"

#include <algorithm>
#include <utility>

#include "raft/check.h"

namespace iris::listening {
namespace {

ListenersOptions checked(ListenersOptions options) {
  CHECK(options.tick_ms > 0 && options.buffer_bytes > 0 && options.listeners_max > 0);
  CHECK(options.page_rows > 0 && options.reads_max > 0 && options.purge_records > 0);
  CHECK(options.queued_bytes_max > 0 && options.states_max > 0);
  // Rows from the store and updates from the log come in pieces that leave room in a small buffer.
  options.page_bytes = std::clamp<std::size_t>(options.page_bytes, 1,
                                               std::max<std::size_t>(options.buffer_bytes / 2, 1));
  return options;
}

}  // namespace

Shared::Shared(const ListenersOptions& given, store::Store& store_of, const History& history_of,
               ListenersHooks given_hooks)
    : options(checked(given)),
      page_limits{options.page_bytes, options.page_rows},
      store(store_of),
      history(history_of),
      hooks(std::move(given_hooks)),
      queued(options.queued_bytes_max),
      purge(store, options.purge_records),
      turns(hooks.schedule_pump, options.page_bytes),
      reads(store, options.reads_max, [this](const Job& job) { return find(job) != nullptr; }),
      tombstone_reads(
          reads, page_limits, [this](const Job& job) { return find(job) != nullptr; },
          [this](const Job& job, const TombstonePage& page) {
            if (Listener* waiting = find(job)) Tombstones::take(*this, *waiting, page);
          }) {}

Listener* Shared::find(ListenerId id) const {
  const auto found = listeners.find(id);
  return found == listeners.end() ? nullptr : found->second.get();
}

Listener* Shared::find(const Job& job) const {
  Listener* listener = find(job.listener);
  if (reload.is_due(job.listener)) return nullptr;
  return listener != nullptr && listener->job == job.number ? listener : nullptr;
}

Listener* Shared::find_matched(Matcher::Id id) const {
  Listener* listener = find(Subscriptions::listener_of(id));
  return listener != nullptr && listener->subscriptions.matcher_id() == id ? listener : nullptr;
}

Listener* Shared::find(std::string_view session) const {
  const auto found = sessions.find(session);
  return found == sessions.end() ? nullptr : found->second;
}

Listener& Shared::add(ListenSpec spec, UpdateStream& stream) {
  const ListenerId id{++last_id};
  auto made = std::make_unique<Listener>(id, std::move(spec), stream, *this);
  Listener& listener = *made;
  CHECK(sessions.emplace(listener.spec.session, &listener).second);
  listeners.emplace(id, std::move(made));
  status.listeners = listeners.size();
  return listener;
}

void Shared::forget(Listener& listener) {
  change_stage(*this, listener, Stage{});
  sessions.erase(listener.spec.session);
  hooks.closed(listener.spec.session);
  listeners.erase(ListenerId(listener.id));
  if (!retired.empty()) turns.schedule();
  status.listeners = listeners.size();
}

void Shared::close(Listener& listener, StreamEnd end, const std::string& text) {
  UpdateStream& stream = listener.stream;
  forget(listener);
  stream.close(end, text);
}

}  // namespace iris::listening
