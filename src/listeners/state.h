// State: the stage of a listener that is sent the values of its subscriptions, because it asked for
// them, or in place of updates that it missed (README.md lists the reasons): RESYNC in the second
// case, the rows at one revision in pages, SYNCED.
// Loop thread. Owns a view of the store until the last row is queued.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "src/listeners/listeners.h"
#include "src/listeners/state_cursor.h"
#include "store/store.h"

namespace iris::listening {

struct Listener;
struct Shared;

struct State {
  std::shared_ptr<const store::View> view;  // none: it waits for its turn
  std::uint64_t revision = 0;               // of the view
  std::uint64_t newer_than = 0;             // rows up to this revision are left out
  StateCursor cursor;
  bool resync = false;   // RESYNC comes first
  bool begun = false;    // see begin_due()
  bool reading = false;  // a page is on its way
  // Rows at the end of the queue are of this state alone, and can be read once more.
  bool own_rows = false;

  // `resync`: the listener lost its place in the log.
  static void enter(Shared& shared, Listener& listener, bool resync);
  // Lets go of the view; its turn goes to another.
  void release(Shared& shared, ListenerId id);
  // Gives turns to states that wait. Begins the states whose revision has been applied on the loop:
  // a view may be ahead of on_applied(), and subscriptions are as of on_applied(). Once the two
  // have met, the state covers exactly the subscriptions made up to its revision; for younger ones
  // the log that follows does.
  static void begin_due(Shared& shared);

  // Asks for a page; Replay follows where no row is left.
  static void serve(Shared& shared, Listener& listener, std::size_t& budget);
  [[nodiscard]] bool wants_more() const { return begun && !reading; }
};

}  // namespace iris::listening
