#include "store/new_cluster.h"

#include <memory>
#include <utility>

#include "raft/check.h"
#include "raft/members.h"
#include "store/alarm.h"
#include "store/data_db.h"
#include "store/files.h"
#include "store/folder.h"
#include "store/log_db.h"
#include "store/recovery.h"
#include "store/rocks.h"
#include "store/row_batch.h"

namespace iris::store {

namespace {

unexpected<Error> named(const std::string& path, const Error& error) {
  return fail(error.code, path + ": " + error.text);
}

// The databases of a folder, open and reconciled (recovery.h).
struct Inside {
  Alarm alarm;
  LogFound found;
  raft::SnapshotMetadata mark;  // of the data
  std::unique_ptr<LogDb> log;
  std::unique_ptr<DataDb> data;
};

Status open_inside(const RocksOptions& options, Folder& folder, Inside& inside) {
  Result<std::unique_ptr<LogDb>> log = LogDb::open(options, folder, inside.alarm, inside.found);
  if (!log) return unexpected(log.error());
  inside.log = std::move(*log);
  Result<std::unique_ptr<DataDb>> data = DataDb::open(options, folder, inside.alarm, inside.mark);
  if (!data) return unexpected(data.error());
  inside.data = std::move(*data);
  Status settled = settle(*inside.log, inside.found, inside.mark);
  return settled ? settled : named(folder.path(), settled.error());
}

// Applies the entries of the log that the data lacks, and records that the data is at `as`: in one
// synced write.
Status apply_rest(Inside& inside, const raft::SnapshotMetadata& as, const Recover& how,
                  std::size_t row_memory_bytes) {
  Status read = Unit{};
  inside.alarm.listen([&read](const Error& error) { read = unexpected(error); });
  RowBatch batch(inside.alarm, row_memory_bytes);
  batch.begin(inside.data->family());
  raft::Index applied = inside.mark.last.index;
  raft::Level level = inside.mark.members.level;
  for (const raft::EntryPtr& entry : inside.found.entries) {
    if (entry->id.index <= applied) continue;
    batch.set_applied(applied);
    if (const raft::Members* members = raft::members_in(*entry)) level = members->level;
    how.apply(*entry, level, batch);
    applied = entry->id.index;
  }
  inside.alarm.listen(nullptr);
  return read ? inside.data->become(batch, as) : read;
}

Status understand_rest(const Inside& inside, const Recover& how) {
  if (!how.understands) return Unit{};
  for (const raft::EntryPtr& entry : inside.found.entries) {
    if (entry->id.index <= inside.mark.last.index) continue;
    if (Status known = how.understands(*entry); !known) return known;
  }
  return Unit{};
}

// Takes the steps of an installation (recovery.h), so that a start after a crash between any two of
// them knows how to go on.
Status become(Inside& inside, const Install& install, const Recover& how,
              std::size_t row_memory_bytes) {
  const auto step = [&how](std::string_view name) {
    if (how.on_step) how.on_step(name);
  };
  inside.log->stage_install(install);
  if (Status noted = inside.log->commit(); !noted) return noted;
  step("noted");
  if (Status applied = apply_rest(inside, install.mark, how, row_memory_bytes); !applied) {
    return applied;
  }
  step("data applied");
  inside.found.install = install;
  return settle(*inside.log, inside.found, install.mark);
}

}  // namespace

raft::Index new_history(raft::Index known, std::uint64_t now_us) {
  const bool clock_is_right =
      now_us >= clock_from_us && now_us < clock_until_us && now_us > known.value;
  return {clock_is_right ? now_us : known.value + history_gap};
}

raft::Members sole_voter(raft::NodeId self, const std::string& address, raft::Level level) {
  raft::Members members;
  members.level = level;
  members.voters.push_back({self, address});
  return members;
}

Result<NewCluster> force_new_cluster(const std::string& folder_path, const Recover& how) {
  const std::string path = without_trailing_slash(folder_path);
  if (!exists(path + "/identity")) {
    return fail(Errc::not_found, path + " is not the folder of a node");
  }
  RocksOptions options;
  options.path = path;
  Result<Folder> folder = Folder::open(path, {}, how.level_max);
  if (!folder) return unexpected(folder.error());
  Inside inside;
  if (Status opened = open_inside(options, *folder, inside); !opened) {
    return unexpected(opened.error());
  }
  const raft::Members members =
      raft::latest_members(inside.found.floor, inside.found.entries).members;
  if (members == raft::Members{}) {
    return fail(Errc::refused, path + ": this node was never a member of a cluster; start it");
  }
  if (Status known = understand_rest(inside, how); !known) return named(path, known.error());
  const Result<std::uint64_t> cluster = random_id();
  if (!cluster) return unexpected(cluster.error());
  const LogDb& log = *inside.log;
  const raft::EntryId last{log.state().term, new_history(log.last().index, how.now_us)};
  const NewCluster made{folder->self(), raft::ClusterId{*cluster}, last};
  const std::string address = how.address_of(raft::address_of(members, made.node));
  const Install install{{last, sole_voter(made.node, address, members.level), last.index},
                        made.cluster};
  if (Status done = become(inside, install, how, options.row_memory_bytes); !done) {
    return named(path, done.error());
  }
  return made;
}

}  // namespace iris::store
