// Turns: the listeners that have something to do, served one after another, each for a bounded
// piece of work, so that none makes the others wait.
// Loop thread.
#pragma once

#include <cstddef>
#include <deque>
#include <functional>

#include "src/listeners/listeners.h"

namespace iris::listening {

struct Listener;
struct Shared;

class Turns {
 public:
  // `schedule_pump`: ListenersHooks. `page_bytes`: a queue below it wants more, so that the stream
  // still has something to write while the next page is fetched.
  Turns(std::function<void()> schedule_pump, std::size_t page_bytes)
      : schedule_pump_(std::move(schedule_pump)), page_bytes_(page_bytes) {}

  // Asks for a run() soon.
  void schedule();
  // The listener gets a turn, if it can write or wants more. To be called after every change to its
  // queue or stage.
  void make_ready(Listener& listener);
  // The listener's stage could add to its queue now, and the queue is below a page.
  [[nodiscard]] bool wants_more(const Listener& listener) const;

  // One pump(). Asks for another where listeners are left.
  void run(Shared& shared);

 private:
  void serve(Shared& shared, Listener& listener, std::size_t& budget) const;

  const std::function<void()> schedule_pump_;
  const std::size_t page_bytes_;
  std::deque<ListenerId> ready_;  // may name a listener that is gone
  bool scheduled_ = false;
};

}  // namespace iris::listening
