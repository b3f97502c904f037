// Recovery: how log and data, found after any crash, are put together: "truth at start".
// Before the lanes run; blocking. Decides from what was found; writes only to the log, and only to
// end an installation that a crash cut off.
//
// The log is synced, and an entry is applied only once it is durable in the own log. So whatever
// crash: the data's applied entry is in the log, or is its floor. There is one exception, and it
// announces itself: an installation is written down in the log (synced) before the data flips
// (synced), and the log restarts behind its mark after that. A node that is made a new cluster
// (backup.h) goes the same way, only that no snapshot comes: its data takes what the log holds, and
// the note names the new cluster too. Anything else is a disk that lost what it had synced, or
// files of two nodes or times mixed; a node that guessed then could lose entries it had
// acknowledged, so it refuses to start (hazards 60, 65, 70, 97, 100, 102).
#pragma once

#include "raft/result.h"
#include "raft/types.h"
#include "store/log_db.h"

namespace iris::store {

enum class Verdict {
  agree,
  finish_install,  // the data has flipped: the log has to restart behind the mark
  forget_install,  // the data has not flipped: it never happened
};

// `data` is what the data says of itself. Errc::corrupt names both sides.
Result<Verdict> reconcile(const LogFound& log, const raft::SnapshotMark& data);

// Reconciles, and ends in the log what the verdict says; `found` is then the log as it is.
Status settle(LogDb& log, LogFound& found, const raft::SnapshotMark& data);

}  // namespace iris::store
