#include "src/listeners/barrier.h"

#include "src/listeners/shared.h"

namespace iris::listening {
namespace {

void pass(Shared& shared, ListenerId id, const Status& status) {
  Listener* listener = shared.find(id);
  if (listener == nullptr || !listener->is_in<Barrier>()) return;
  if (!status) return shared.close(*listener, StreamEnd::unavailable, status.error().text);
  if (!shared.tail_known) return shared.waiting_for_tail.push_back(id);
  Loading::enter(shared, *listener);
}

}  // namespace

void Barrier::enter(Shared& shared, Listener& listener) {
  shared.hooks.barrier(shared.alive.guard(
      [&shared, id = listener.id](const Status& status) { pass(shared, id, status); }));
}

void Barrier::tail_is_known(Shared& shared) {
  shared.tail_known = true;
  for (const ListenerId id : std::exchange(shared.waiting_for_tail, {})) {
    if (Listener* listener = shared.find(id)) Loading::enter(shared, *listener);
  }
}

}  // namespace iris::listening
