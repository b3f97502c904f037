#include "store/backup.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <functional>
#include <memory>
#include <system_error>
#include <utility>
#include <variant>

#include "raft/check.h"
#include "raft/members.h"
#include "store/alarm.h"
#include "store/data_db.h"
#include "store/files.h"
#include "store/folder.h"
#include "store/import.h"
#include "store/log_db.h"
#include "store/recovery.h"
#include "store/rocks.h"
#include "store/row_batch.h"
#include "store/snapshot.h"

namespace iris::store {

namespace {

constexpr std::size_t piece_bytes = 1u << 20;

unexpected<Error> named(const std::string& path, const Error& error) {
  return fail(error.code, path + ": " + error.text);
}

// Feeds the whole file to `take`, piece by piece. An error names the file.
Status read_pieces(const std::string& path, const std::function<Status(std::string_view)>& take) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.open()) return errno_failure("open", path);
  std::string piece(piece_bytes, '\0');
  while (true) {
    const ssize_t got = ::read(file.number(), piece.data(), piece.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return errno_failure("read", path);
    if (got == 0) return Unit{};
    Status taken = take(std::string_view(piece).substr(0, static_cast<std::size_t>(got)));
    if (!taken) return named(path, taken.error());
  }
}

// False as well where the system does not tell.
bool mount_point(const std::string& path) {
  struct statx found = {};
  return ::statx(AT_FDCWD, path.c_str(), AT_SYMLINK_NOFOLLOW, 0, &found) == 0 &&
         (found.stx_attributes_mask & found.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
}

// Else only the rename would find out, after all the data.
Status require_replaceable(const std::string& folder) {
  if (!exists(folder)) return Unit{};
  if (std::filesystem::is_symlink(folder)) {
    return fail(Errc::refused,
                folder + " is a symbolic link: name the folder itself, or one that is to be made");
  }
  std::error_code error;
  const bool empty = std::filesystem::is_empty(folder, error);
  if (error) return fail(Errc::io, "cannot look into " + folder + ": " + error.message());
  if (!empty || !std::filesystem::is_directory(folder)) {
    return fail(Errc::refused,
                folder + " is there already and not empty: a restore only makes a new folder");
  }
  if (mount_point(folder)) {
    return fail(Errc::refused,
                folder + " is a mount point, which a restore cannot replace: name a folder in it");
  }
  return Unit{};
}

// Without "." and ".." at its end: what is built beside it is named after it.
std::string named_folder(const std::string& folder) {
  const std::filesystem::path path = without_trailing_slash(folder);
  if (path.filename() != "." && path.filename() != "..") return path.string();
  std::error_code error;
  const std::filesystem::path whole = std::filesystem::canonical(path, error);
  return error ? path.string() : whole.string();
}

// The folder where a restore to `target` builds: empty, and nobody else's while this is open.
Result<Descriptor> claim(const std::string& building, const std::string& target) {
  if (Status made = make_folder(building); !made) {
    return unexpected(made.error());
  }
  Descriptor folder(::open(building.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder.open()) return errno_failure("open folder", building);
  struct stat opened = {};
  struct stat there = {};
  // Another has it; or had it until now, and what was opened is gone or bears another name.
  if (::flock(folder.number(), LOCK_EX | LOCK_NB) != 0 || ::fstat(folder.number(), &opened) != 0 ||
      ::lstat(building.c_str(), &there) != 0 || opened.st_ino != there.st_ino) {
    return fail(Errc::busy, "another restore to " + target + " is under way");
  }
  std::error_code error;
  for (const auto& rest : std::filesystem::directory_iterator(building, error)) {
    if (Status removed = remove_tree(rest.path()); !removed) {  // of a restore that was cut off
      return unexpected(removed.error());
    }
  }
  if (error) return fail(Errc::io, "cannot look into " + building + ": " + error.message());
  return folder;
}

raft::Members alone(raft::NodeId self, const std::string& address) {
  raft::Members members;
  members.voters.push_back({self, address});
  return members;
}

// The rows of the backup, as the data of `folder` under `as`.
Status restore_data(const RocksOptions& options, const Folder& folder, const std::string& file,
                    const raft::SnapshotMark& mark, const raft::SnapshotMark& as) {
  if (Status made = DataDb::create(options, folder, {}); !made) return made;
  Import import(options, folder.staging_path() + "/1", mark);
  import.become(as);
  Status read =
      read_pieces(file, [&import](std::string_view piece) { return import.chunk(piece); });
  if (!read) return read;
  const Result<std::shared_ptr<const Staged>> staged = import.finish();
  if (!staged) return named(file, staged.error());
  Alarm alarm;
  raft::SnapshotMark found;
  Result<std::unique_ptr<DataDb>> data = DataDb::open(options, folder, alarm, found);
  if (!data) return unexpected(data.error());
  return (*data)->install(**staged);
}

Result<NewCluster> build(const std::string& path, const std::string& file,
                         const std::string& address, const raft::SnapshotMark& mark,
                         std::uint64_t now_us) {
  RocksOptions options;
  options.path = path;
  Result<Folder> folder = Folder::open(path);
  if (!folder) return unexpected(folder.error());
  const Result<std::uint64_t> cluster = random_id();
  if (!cluster) return unexpected(cluster.error());
  const raft::EntryId last{mark.last.term, new_history(mark.last.index, now_us)};
  const NewCluster made{folder->self(), raft::ClusterId{*cluster}, last};
  const raft::SnapshotMark as{last, alone(made.node, address), last.index};
  Status done = LogDb::create(options, *folder, {made.node, made.cluster}, {last.term, {}}, as);
  if (done) done = restore_data(options, *folder, file, mark, as);
  if (done) done = remove_tree(folder->staging_path());
  if (done) done = folder->complete();
  if (!done) return unexpected(done.error());
  return made;
}

// The inside of a folder, open and settled.
struct Inside {
  Alarm alarm;
  LogFound found;
  raft::SnapshotMark mark;  // of the data
  std::unique_ptr<LogDb> log;
  std::unique_ptr<DataDb> data;
};

Status open_inside(const RocksOptions& options, const Folder& folder, Inside& inside) {
  Result<std::unique_ptr<LogDb>> log = LogDb::open(options, folder, inside.alarm, inside.found);
  if (!log) return unexpected(log.error());
  inside.log = std::move(*log);
  Result<std::unique_ptr<DataDb>> data = DataDb::open(options, folder, inside.alarm, inside.mark);
  if (!data) return unexpected(data.error());
  inside.data = std::move(*data);
  Status settled = settle(*inside.log, inside.found, inside.mark);
  return settled ? settled : named(folder.path(), settled.error());
}

// What the log holds beyond the data, and that with it the data is at `as`: one synced write.
Status apply_rest(Inside& inside, const raft::SnapshotMark& as, const Recover& how,
                  std::size_t row_memory_bytes) {
  Status read = Unit{};
  inside.alarm.listen([&read](const Error& error) { read = unexpected(error); });
  RowBatch batch(inside.alarm, row_memory_bytes);
  batch.begin(inside.data->family());
  raft::Index applied = inside.mark.last.index;
  for (const raft::EntryPtr& entry : inside.found.entries) {
    if (entry->id.index <= applied) continue;
    batch.set_applied(applied);
    how.apply(*entry, batch);
    applied = entry->id.index;
  }
  inside.alarm.listen(nullptr);
  return read ? inside.data->become(batch, as) : read;
}

// The steps of an installation (recovery.h): whatever ends them between two, the next start knows.
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

Result<BackupInfo> verify_backup(const std::string& file) {
  BackupInfo info;
  SnapshotReader reader({[&info](const raft::SnapshotMark& mark) {
                           info.mark = mark;
                           return Status(Unit{});
                         },
                         [](Table, std::string_view, std::string_view) { return Status(Unit{}); }});
  Status whole =
      read_pieces(file, [&reader](std::string_view piece) { return reader.feed(piece); });
  if (!whole) return unexpected(whole.error());
  if (whole = reader.finish(); !whole) return named(file, whole.error());
  info.rows = reader.rows();
  info.bytes = reader.bytes();
  info.sha256 = hex(reader.digest());
  return info;
}

Result<NewCluster> restore_backup(const std::string& file, const std::string& folder,
                                  const std::string& address, std::uint64_t now_us) {
  const std::string target = named_folder(folder);
  const std::string building = target + ".restoring";
  if (Status ready = require_replaceable(target); !ready) {
    return unexpected(ready.error());
  }
  const Result<BackupInfo> backup = verify_backup(file);
  if (!backup) return unexpected(backup.error());
  const Result<Descriptor> claimed = claim(building, target);  // until the end
  if (!claimed) return unexpected(claimed.error());
  Result<NewCluster> made = build(building, file, address, backup->mark, now_us);
  Status placed = made ? rename_file(building, target) : Status(Unit{});
  if (made && placed) return made;
  static_cast<void>(remove_tree(building));
  return made ? named(target, placed.error()) : unexpected(made.error());
}

Result<NewCluster> force_new_cluster(const std::string& folder_path, const Recover& how) {
  const std::string path = without_trailing_slash(folder_path);
  if (!exists(path + "/identity")) {
    return fail(Errc::not_found, path + " is not the folder of a node");
  }
  RocksOptions options;
  options.path = path;
  Result<Folder> folder = Folder::open(path);
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
  const Result<std::uint64_t> cluster = random_id();
  if (!cluster) return unexpected(cluster.error());
  const LogDb& log = *inside.log;
  const raft::EntryId last{log.state().term, new_history(log.last().index, how.now_us)};
  const NewCluster made{folder->self(), raft::ClusterId{*cluster}, last};
  const std::string address = how.address_of(raft::address_of(members, made.node));
  const Install install{{last, alone(made.node, address), last.index}, made.cluster};
  if (Status done = become(inside, install, how, options.row_memory_bytes); !done) {
    return named(path, done.error());
  }
  return made;
}

}  // namespace iris::store
