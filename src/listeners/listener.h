// Listener: one Listen stream: its request, the subscriptions of its session, its queue, and the
// stage it is in.
// Loop thread. Owned by Shared. A node has 10,000s of idle ones: one with a single subscription
// costs some 2 KB in all, a third of it here and as much for an empty deque.
#pragma once

#include <cstddef>
#include <cstdint>
#include <variant>

#include "src/listeners/barrier.h"
#include "src/listeners/listeners.h"
#include "src/listeners/live.h"
#include "src/listeners/loading.h"
#include "src/listeners/pins.h"
#include "src/listeners/reads.h"
#include "src/listeners/replay.h"
#include "src/listeners/stalled.h"
#include "src/listeners/state.h"
#include "src/listeners/subscriptions.h"
#include "src/listeners/tombstones.h"
#include "src/listeners/update_queue.h"

namespace iris::listening {

// How a listener is served at the moment. Each stage has
//   enter(...)       makes it the listener's stage
//   wants_more()     something could be added to the queue now
//   serve(...)       adds it, or asks the store for it; may enter another stage
// They are static where they could replace the stage object that they work on: after a call that
// may enter another stage, a reference into the one before is not used.
using Stage = std::variant<Barrier, Loading, Live, Replay, Tombstones, State, Stalled>;

struct Listener {
  Listener(ListenerId own_id, ListenSpec asked, UpdateStream& to, Shared& shared);

  const ListenerId id;
  const ListenSpec spec;
  UpdateStream& stream;
  // The client asked for a field that only clients that know markers have (BOOKMARK, SYNCED,
  // RESYNC); others must never get one.
  const bool takes_markers;

  Subscriptions subscriptions;
  UpdateQueue queue;
  // Every update up to this revision was queued, or does not concern the listener. Not kept up
  // while it is live.
  std::uint64_t position = 0;
  // The log after this revision is kept: from a state on until the listener is live. Else the log
  // could be trimmed past the state while it is sent, which would be sent again and again.
  Pin log_pin;
  std::uint64_t job = 0;  // counts stages that were left; an answer to an earlier one is stale
  bool begun = false;     // it was loaded once, and its first stage was chosen
  bool ready = false;     // in Turns

  Stage stage;

  [[nodiscard]] Job current_job() const { return {id, job}; }
  template <typename S>
  [[nodiscard]] bool is_in() const {
    return std::holds_alternative<S>(stage);
  }
};

// Lets go of what the present stage holds, and makes its job stale, before `next` begins.
void change_stage(Shared& shared, Listener& listener, Stage next);

}  // namespace iris::listening
