#include "src/listeners/reload.h"

#include <algorithm>
#include <limits>

#include "src/listeners/budget.h"
#include "src/listeners/shared.h"

namespace iris::listening {

void Reload::begin(Shared& shared, std::uint64_t seen) {
  // A second snapshot before all were reloaded after the first: a listener was live up to the first
  // alone. Rare, so all at once.
  std::size_t all = std::numeric_limits<std::size_t>::max();
  go_on(shared, all);
  seen_ = seen;
  done_ = {};
  last_ = {shared.last_id};
  shared.turns.schedule();
}

void Reload::go_on(Shared& shared, std::size_t& budget) {
  if (empty()) return;
  auto next = shared.listeners.upper_bound(done_);
  for (; next != shared.listeners.end() && next->first <= last_; ++next) {
    if (budget == 0) return;
    spend(budget, cost::reload);
    Listener& listener = *next->second;
    done_ = listener.id;
    if (listener.is_in<Barrier>()) continue;
    if (listener.is_in<Live>()) listener.position = std::max(listener.position, seen_);
    Loading::enter(shared, listener);
    shared.turns.make_ready(listener);
  }
  done_ = last_;
}

}  // namespace iris::listening
