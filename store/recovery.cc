#include "store/recovery.h"

#include <string>
#include <vector>

namespace iris::store {

namespace {

std::string name(raft::EntryId id) {
  return "entry " + std::to_string(id.index.value) + " of term " + std::to_string(id.term.value);
}

unexpected<Error> disagree(const raft::SnapshotMetadata& data, const std::string& log) {
  return fail(Errc::corrupt,
              "log and data disagree: the data has applied " + name(data.last) + ", " + log);
}

}  // namespace

Result<Verdict> reconcile(const LogFound& log, const raft::SnapshotMetadata& data) {
  if (log.install && log.install->mark.last == data.last) return Verdict::finish_install;
  const raft::EntryId floor = log.floor.last;
  const raft::EntryId last = log.entries.empty() ? floor : log.entries.back()->id;
  if (data.last.index > last.index) return disagree(data, "the log ends with " + name(last));
  if (data.last.index < floor.index) {
    return disagree(data, "the log holds only what follows " + name(floor));
  }
  const std::uint64_t offset = data.last.index.value - floor.index.value;
  const raft::EntryId same = offset == 0 ? floor : log.entries[offset - 1]->id;
  if (same != data.last) return disagree(data, "the log holds " + name(same) + " there");
  return log.install ? Verdict::forget_install : Verdict::agree;
}

Status settle(LogDb& log, LogFound& found, const raft::SnapshotMetadata& data) {
  const Result<Verdict> verdict = reconcile(found, data);
  if (!verdict) return unexpected(verdict.error());
  if (*verdict == Verdict::agree) return Unit{};
  if (*verdict == Verdict::finish_install) {
    const raft::SnapshotMetadata mark = found.install->mark;
    if (Status staged = log.stage_restart(mark); !staged) return staged;
    if (const raft::ClusterId cluster = found.install->cluster; cluster != raft::ClusterId{}) {
      log.stage_cluster(cluster);
      found.identity.cluster = cluster;
    }
    // stage_restart() has kept all entries that follow the mark, or none.
    const bool kept = log.last() != mark.last;
    std::erase_if(found.entries, [kept, &mark](const raft::EntryPtr& entry) {
      return !kept || entry->id.index <= mark.last.index;
    });
    found.floor = mark;
  } else {
    log.stage_no_install();
  }
  found.install.reset();
  return log.commit();
}

}  // namespace iris::store
