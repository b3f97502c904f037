#include "src/listeners/stalled.h"

#include "src/listeners/shared.h"

namespace iris::listening {

void Stalled::enter_or_unpin(Shared& shared, Listener& listener) {
  listener.log_pin.reset();
  if (auto* tombstones = std::get_if<Tombstones>(&listener.stage)) tombstones->unpin(shared);
  if (listener.is_in<State>()) change_stage(shared, listener, Stalled{});
}

void Stalled::serve(Shared& shared, Listener& listener, std::size_t&) {
  State::enter(shared, listener, true);
}

}  // namespace iris::listening
