#include "src/listeners/turns.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "src/listeners/budget.h"
#include "src/listeners/shared.h"

namespace iris::listening {

void Turns::schedule() {
  if (std::exchange(scheduled_, true)) return;
  schedule_pump_();
}

bool Turns::wants_more(const Listener& listener) const {
  if (!listener.queue.may_fetch()) return false;
  if (!listener.queue.empty() && listener.queue.bytes() >= page_bytes_) return false;
  return std::visit([](const auto& stage) { return stage.wants_more(); }, listener.stage);
}

void Turns::make_ready(Listener& listener) {
  const bool can_write = listener.queue.writable() && !listener.queue.empty();
  if (listener.ready || (!can_write && !wants_more(listener))) return;
  listener.ready = true;
  ready_.push_back(listener.id);
  schedule();
}

void Turns::run(Shared& shared) {
  scheduled_ = false;
  std::size_t budget = cost::pump;
  std::size_t half = cost::pump / 2;  // for sessions and filters of others
  shared.reload.go_on(shared, half);
  shared.retired.go_on(shared.matcher, half);
  spend(budget, cost::pump / 2 - half);
  State::begin_due(shared);
  while (!ready_.empty() && budget > 0) {
    Listener* listener = shared.find(ready_.front());
    ready_.pop_front();
    if (listener == nullptr) continue;
    listener->ready = false;
    if (shared.reload.is_due(ListenerId(listener->id))) continue;
    std::size_t turn = std::min(budget, cost::turn);
    spend(budget, cost::visit);
    const std::size_t before = turn;
    serve(shared, *listener, turn);
    spend(budget, before - turn);
    make_ready(*listener);
  }
  if (!ready_.empty() || !shared.reload.empty() || !shared.retired.empty()) schedule();
}

void Turns::serve(Shared& shared, Listener& listener, std::size_t& budget) const {
  const auto write = [&] {
    listener.queue.write(listener.subscriptions.filter(), shared.tick, budget);
  };
  const auto refill = [&] {
    if (!wants_more(listener)) return;
    std::visit([&]<typename S>(const S&) { S::serve(shared, listener, budget); }, listener.stage);
  };
  write();
  const bool replays = listener.is_in<Replay>();
  refill();
  if (replays && !listener.is_in<Replay>()) refill();  // the stage that follows asks for a page
  write();
}

}  // namespace iris::listening
