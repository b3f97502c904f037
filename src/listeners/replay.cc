#include "src/listeners/replay.h"

#include <optional>

#include "src/listeners/budget.h"
#include "src/listeners/relief.h"
#include "src/listeners/shared.h"

namespace iris::listening {
namespace {

// False: the listener left the stage.
bool replay_entry(Shared& shared, Listener& listener, std::uint64_t index) {
  const raft::EntryPtr entry = shared.history.entry({index});
  if (!entry) {  // trimmed, and on_trimmed() is still to come
    State::enter(shared, listener, true);
    return false;
  }
  const Filter& filter = listener.subscriptions.filter();
  const CommandView command = command_of(*entry);
  if (command.kind == CommandView::Kind::remove_source) {
    if (filter.find(command.source) != nullptr) {
      Tombstones::enter(shared, listener, index, command.source);
      return false;
    }
  } else if (filter.wants(command.source, *command.key, index)) {
    listener.queue.push(shared.updates.update_of(entry, command));
  }
  listener.position = index;
  return true;
}

}  // namespace

void Replay::enter(Shared& shared, Listener& listener, std::uint64_t position) {
  change_stage(shared, listener, Replay{});
  listener.position = position;
  shared.turns.make_ready(listener);
}

void Replay::serve(Shared& shared, Listener& listener, std::size_t& budget) {
  const LogTail& tail = shared.tail;
  make_space(shared, shared.options.page_bytes);
  while (shared.turns.wants_more(listener) && budget > 0) {
    if (listener.position + 1 < tail.first()) return State::enter(shared, listener, true);
    const auto index = tail.find(listener.subscriptions.filter(), listener.position, budget);
    if (!index) {
      if (listener.position < tail.last()) return;
      listener.subscriptions.index(budget);
      if (listener.subscriptions.is_indexed()) Live::enter(listener);
      return;
    }
    if (!replay_entry(shared, listener, *index)) return;
    spend(budget, cost::update);
  }
}

}  // namespace iris::listening
