#include "src/listeners/listener.h"

#include <utility>

#include "src/listeners/shared.h"

namespace iris::listening {

Listener::Listener(ListenerId own_id, ListenSpec asked, UpdateStream& to, Shared& shared)
    : id(own_id),
      spec(std::move(asked)),
      stream(to),
      takes_markers(spec.after_revision > 0 || spec.send_initial || spec.heartbeat_ms > 0),
      subscriptions(shared.matcher, shared.retired, own_id),
      queue(own_id, to, shared.status, shared.queued, shared.tick) {}

void change_stage(Shared& shared, Listener& listener, Stage next) {
  ++listener.job;
  if (auto* tombstones = std::get_if<Tombstones>(&listener.stage)) tombstones->unpin(shared);
  if (auto* state = std::get_if<State>(&listener.stage)) state->release(shared, listener.id);
  listener.stage = std::move(next);
}

}  // namespace iris::listening
