// Recovery: decides whether log and data, as a crash has left them, belong together.
// Runs before the lanes; blocks. Owns nothing. Writes to the log only, and only to end an
// installation that a crash has cut off.
//
// The log is synced, and an entry is applied only once it is durable in this node's own log. So
// after any crash the applied entry of the data is an entry of the log, or its floor. There is one
// exception, and the log announces it. An installation takes three synced steps: the log notes it,
// the data flips to the snapshot, the log restarts behind the snapshot's mark. A node that becomes
// a new cluster (new_cluster.h) takes the same steps, except that its data takes the entries of
// the log instead of a snapshot, and that the note names the new cluster.
// All else means a disk that has lost synced writes, or files of two nodes or two times. A node
// that guessed could lose entries that it has acknowledged, so it refuses to start (hazards 60,
// 65, 70, 97, 100, 102).
#pragma once

#include "raft/result.h"
#include "raft/types.h"
#include "store/log_db.h"

namespace iris::store {

enum class Verdict {
  agree,
  finish_install,  // the data has flipped: the log must restart behind the mark
  forget_install,  // the data has not flipped: the note must go
};

// `data`: what the data records of itself. Errc::corrupt: they do not belong together; the text
// names the entries of both.
Result<Verdict> reconcile(const LogFound& log, const raft::SnapshotMetadata& data);

// Reconciles, and carries out the verdict in the log, durably; `found` is then the log as it is.
Status settle(LogDb& log, LogFound& found, const raft::SnapshotMetadata& data);

}  // namespace iris::store
