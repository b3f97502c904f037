// The checker by search: is the history of each key linearizable, whatever revisions say? The
// search of Wing and Gong with Lowe's memory of states that were tried ("Testing for
// linearizability", 2017): an opinion of its own beside revision_checker.h, since it shares no idea
// with it.
//
// A key is a register of one value or nothing. Removing its source removes it. Calls with
// if_revision, lists and STALE reads are left out: without revisions they say nothing exact.
// A call of unknown outcome may take effect at any time after its begin, or never.
// Any thread; pure. Its time is exponential in the calls that are open at once: therefore bounded.
#pragma once

#include <cstdint>

#include "tests/history/operation.h"

namespace iris::history {

struct SearchLimits {
  // Steps for one key; beyond them the key is undecided.
  std::uint64_t steps_max = 20'000'000;
  // Of one key, those that come first; the rest is not judged. 0: all.
  std::size_t operations_max = 0;
};

[[nodiscard]] Verdict check_by_search(const History& history, SearchLimits limits = {});

}  // namespace iris::history
