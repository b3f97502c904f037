// Replay: the stage of a listener that is behind: after a resume, after a state, or since its queue
// was full. Updates come from the log tail in memory, as fast as the stream takes them.
// Loop thread.
#pragma once

#include <cstddef>
#include <cstdint>

namespace iris::listening {

struct Listener;
struct Shared;

struct Replay {
  // Goes on after `position`, from whatever stage.
  static void enter(Shared& shared, Listener& listener, std::uint64_t position);

  // A page of updates at most. Then Live, where it has caught up; Tombstones at a RemoveSource;
  // State where the log tail does not reach back far enough.
  static void serve(Shared& shared, Listener& listener, std::size_t& budget);
  [[nodiscard]] static bool wants_more() { return true; }
};

}  // namespace iris::listening
