// Loading: the stage of a listener whose session is read from the store: at its beginning, and
// again after a snapshot was installed.
// Loop thread.
#pragma once

#include <cstddef>
#include <vector>

#include "raft/types.h"
#include "src/machine/command.h"

namespace iris::listening {

struct Listener;
struct Shared;

struct Loading {
  std::vector<raft::EntryPtr> changes;  // of the session, applied since the read began

  // Then Replay or State, or the stream ends with `not_found`.
  static void enter(Shared& shared, Listener& listener);

  // A command that concerns the listener's session was applied, in whatever stage. The stream ends
  // with `not_found` where the session expired with it.
  static void session_changed(Shared& shared, Listener& listener, const raft::EntryPtr& entry,
                              const CommandView& command);

  [[nodiscard]] static bool wants_more() { return false; }
  static void serve(Shared&, Listener&, std::size_t&) {}
};

}  // namespace iris::listening
