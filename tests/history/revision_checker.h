// The checker by revisions: is the history linearizable, given the revision that each answer
// carries? One pass over the sorted history, so its cost does not depend on how many clients there
// were; it takes histories of any length.
//
// What it demands:
// - no two commands have one revision; a command that began after another had ended has the greater
//   one;
// - a value that was read was stored, with that revision, by a set that had begun;
// - a read (not STALE) sees all that had been acknowledged, or read, before it began; one that
// finds
//   nothing needs a removal that may have come last;
// - a list is the state of its source at one revision, and as new as a read must be;
// - if_revision held where the answer is ok, and did not where it is conflict.
// A set whose outcome is unknown counts as done from the moment on that somebody has read its
// value. Any thread; pure.
#pragma once

#include "tests/history/operation.h"

namespace iris::history {

[[nodiscard]] Verdict check_revisions(const History& history);

}  // namespace iris::history
