// Shared: all that the listeners of one node have in common: the listeners themselves by id and by
// session, the log tail, the matcher, and the reads, turns and pins of all.
// Loop thread. Listeners owns it; stages get it as an argument, and change it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "src/listeners/alive.h"
#include "src/listeners/indexing.h"
#include "src/listeners/listener.h"
#include "src/listeners/listeners.h"
#include "src/listeners/log_tail.h"
#include "src/listeners/matcher.h"
#include "src/listeners/pins.h"
#include "src/listeners/queued_bytes.h"
#include "src/listeners/reads.h"
#include "src/listeners/reload.h"
#include "src/listeners/tombstone_purge.h"
#include "src/listeners/tombstone_reads.h"
#include "src/listeners/turns.h"
#include "src/listeners/update_cache.h"

namespace iris::listening {

struct Shared {
  // As of Listeners.
  Shared(const ListenersOptions& given, store::Store& store, const History& history,
         ListenersHooks hooks);

  // --- The listeners. nullptr: not open any more, or no longer in the stage of that job.
  [[nodiscard]] Listener* find(ListenerId id) const;
  [[nodiscard]] Listener* find(const Job& job) const;
  [[nodiscard]] Listener* find(std::string_view session) const;
  // nullptr also for a filter that the listener no longer has.
  [[nodiscard]] Listener* find_matched(Matcher::Id id) const;
  // REQUIRES: the session has no listener.
  Listener& add(ListenSpec spec, UpdateStream& stream);
  // The stream is not called again.
  void forget(Listener& listener);
  // Forgets it, then ends the stream.
  void close(Listener& listener, StreamEnd end, const std::string& text);

  [[nodiscard]] std::uint64_t ms_since(std::uint64_t then) const {
    return (tick - then) * options.tick_ms;
  }

  const ListenersOptions options;
  const PageLimits page_limits;
  store::Store& store;
  const History& history;
  const ListenersHooks hooks;
  ListenersStatus status;
  QueuedBytes queued;
  std::uint64_t tick = 0;

  Matcher matcher;
  RetiredFilters retired;
  Reload reload;
  UpdateCache updates;
  LogTail tail;
  bool tail_known = false;                   // of before start(); or it does not matter any more
  std::vector<ListenerId> waiting_for_tail;  // in Barrier
  std::set<ListenerId> states_to_begin;      // in State with a view, not begun
  std::deque<ListenerId> states_waiting;     // in State without a view; may name others
  std::size_t views = 0;                     // held by states

  Pins log_pins;
  TombstonePurge purge;
  Turns turns;
  Reads reads;
  TombstoneReads tombstone_reads;

  // Last of what owns anything: listeners leave matcher, status and pins when they are destroyed.
  std::uint64_t last_id = 0;
  std::map<ListenerId, std::unique_ptr<Listener>> listeners;
  std::map<std::string, Listener*, std::less<>> sessions;
  const Alive alive;
};

}  // namespace iris::listening
