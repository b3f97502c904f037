// Live: the stage of a listener that has caught up. Updates go straight into its queue when they
// are applied.
// Loop thread.
#pragma once

#include <cstddef>
#include <cstdint>

#include "src/listeners/update.h"

namespace iris::listening {

struct Listener;
struct Shared;

struct Live {
  static void enter(Listener& listener);

  // An update that the listener is subscribed to; ignored in other stages, which find it in the log
  // tail. A full queue takes no more: Replay follows, from before this update.
  static void deliver(Shared& shared, Listener& listener, const UpdatePtr& update);
  // A RemoveSource that concerns the listener; ignored in other stages. Its keys are on disk:
  // Replay finds the command in the log tail, and fetches them in their place in the order.
  static void deliver_removal(Shared& shared, Listener& listener, std::uint64_t revision);
  // A bookmark, if the listener asked for heartbeats and one is due. `period_ms`: until the next
  // call.
  static void heartbeat(Shared& shared, Listener& listener, std::uint64_t period_ms);

  [[nodiscard]] static bool wants_more() { return false; }
  static void serve(Shared&, Listener&, std::size_t&) {}
};

}  // namespace iris::listening
