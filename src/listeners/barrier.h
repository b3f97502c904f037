// Barrier: the first stage of a listener. This node must have applied all that was acknowledged to
// any client before the call: else it could serve this client from a past that the client has left
// (hazard 86). And it must know the log tail.
// Loop thread.
#pragma once

#include <cstddef>

namespace iris::listening {

struct Listener;
struct Shared;

struct Barrier {
  static void enter(Shared& shared, Listener& listener);
  // The log tail is known now: listeners that waited for it go on.
  static void tail_is_known(Shared& shared);

  [[nodiscard]] static bool wants_more() { return false; }
  static void serve(Shared&, Listener&, std::size_t&) {}
};

}  // namespace iris::listening
