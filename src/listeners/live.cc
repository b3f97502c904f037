#include "src/listeners/live.h"

#include <algorithm>

#include "src/listeners/relief.h"
#include "src/listeners/shared.h"

namespace iris::listening {

void Live::enter(Listener& listener) {
  listener.stage = Live{};
  listener.log_pin.reset();
}

void Live::deliver(Shared& shared, Listener& listener, const UpdatePtr& update) {
  if (!listener.is_in<Live>() || shared.reload.is_due(listener.id)) return;
  if (update->revision <= listener.position) return;
  const UpdateQueue& queue = listener.queue;
  if (!queue.empty() && queue.bytes() + update->cost_bytes() > shared.options.buffer_bytes) {
    ++shared.status.overflows;
    return Replay::enter(shared, listener, update->revision - 1);
  }
  if (!shared.queued.fits(update->cost_bytes())) {
    const bool space = make_space(shared, update->cost_bytes());
    if (!listener.is_in<Live>()) return;  // it was this listener that gave its queue up
    if (!space) {
      ++shared.status.overflows;
      return Replay::enter(shared, listener, update->revision - 1);
    }
  }
  listener.queue.push(update);
  shared.turns.make_ready(listener);
}

void Live::deliver_removal(Shared& shared, Listener& listener, std::uint64_t revision) {
  if (!listener.is_in<Live>() || shared.reload.is_due(listener.id)) return;
  if (revision <= listener.position) return;
  Replay::enter(shared, listener, revision - 1);
}

// A bookmark promises that nothing happened up to its revision that was not written: only while the
// node hears a leader (hazard 94), and the queue is written (hazard 90).
void Live::heartbeat(Shared& shared, Listener& listener, std::uint64_t period_ms) {
  const UpdateQueue& queue = listener.queue;
  if (!listener.is_in<Live>() || !queue.empty() || !queue.writable()) return;
  const std::uint64_t quiet_ms = shared.ms_since(queue.written_tick());
  const std::uint64_t beat_ms =
      std::max(listener.spec.heartbeat_ms, shared.options.heartbeat_ms_min);
  // The first comes at once: from then on the client has a revision to resume from.
  if (queue.has_written() && quiet_ms + period_ms < beat_ms) return;
  listener.queue.push(marker_update(Update::Op::bookmark, shared.history.applied().value));
  shared.turns.make_ready(listener);
}

}  // namespace iris::listening
