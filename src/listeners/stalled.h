// Stalled: the stage of a listener whose stream took nothing for ListenersOptions::stall_ms while a
// state was sent: its view of the store was released. Another state begins when the stream has
// taken what is queued.
// Loop thread.
#pragma once

#include <cstddef>

namespace iris::listening {

struct Listener;
struct Shared;

struct Stalled {
  // To be called of a stream that took nothing for so long, in any stage: it holds no log, no
  // tombstone and no view any more.
  static void enter_or_unpin(Shared& shared, Listener& listener);

  static void serve(Shared& shared, Listener& listener, std::size_t& budget);
  [[nodiscard]] static bool wants_more() { return true; }
};

}  // namespace iris::listening
