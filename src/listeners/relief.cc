#include "src/listeners/relief.h"

#include "src/listeners/shared.h"

namespace iris::listening {
namespace {

// False: nothing in its queue could be fetched once more.
bool give_up(Shared& shared, Listener& listener) {
  if (shared.reload.is_due(listener.id)) return false;
  if (const auto* state = std::get_if<State>(&listener.stage)) {
    if (!state->own_rows || !listener.queue.drop_rows()) return false;
    change_stage(shared, listener, Stalled{});
    listener.log_pin.reset();
    if (listener.queue.writable()) shared.turns.make_ready(listener);
    return true;
  }
  if (!listener.is_in<Live>() && !listener.is_in<Replay>()) return false;
  const auto first = listener.queue.drop_log_updates();
  if (!first) return false;
  Replay::enter(shared, listener, *first - 1);
  return true;
}

}  // namespace

bool make_space(Shared& shared, std::size_t bytes) {
  while (!shared.queued.fits(bytes)) {
    const auto id = shared.queued.greatest();
    if (!id) return false;
    Listener& listener = *shared.find(*id);
    if (give_up(shared, listener)) {
      ++shared.status.given_up;
    } else {
      shared.queued.pass_over(*id, listener.queue.bytes());
    }
  }
  return true;
}

}  // namespace iris::listening
