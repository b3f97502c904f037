// Barrier: the first stage of a listener. This node must have applied all that was acknowledged to
// anybody before the call, so that it never serves a client from a past that this client has left
// (hazard 86); and it must know the log tail.
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
