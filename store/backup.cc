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

#include "raft/check.h"
#include "src/base/hex.h"
#include "store/alarm.h"
#include "store/data_db.h"
#include "store/files.h"
#include "store/folder.h"
#include "store/import.h"
#include "store/log_db.h"
#include "store/rocks.h"
#include "store/snapshot.h"

namespace iris::store {

namespace {

constexpr std::size_t piece_bytes = 1u << 20;

unexpected<Error> named(const std::string& path, const Error& error) {
  return fail(error.code, path + ": " + error.text);
}

// Gives the whole file to `take`, piece by piece. An error names the file.
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

// False where the system cannot tell.
bool mount_point(const std::string& path) {
  struct statx found = {};
  return ::statx(AT_FDCWD, path.c_str(), AT_SYMLINK_NOFOLLOW, 0, &found) == 0 &&
         (found.stx_attributes_mask & found.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
}

// Checked first, as otherwise only the rename would fail, after all the data was written.
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

// The folder by a name that does not end in "." or "..", as the folder built beside it is named
// after it.
std::string named_folder(const std::string& folder) {
  const std::filesystem::path path = without_trailing_slash(folder);
  if (path.filename() != "." && path.filename() != "..") return path.string();
  std::error_code error;
  const std::filesystem::path whole = std::filesystem::canonical(path, error);
  return error ? path.string() : whole.string();
}

// The folder where a restore to `target` builds: made or emptied, and locked while this is open.
Result<Descriptor> claim(const std::string& building, const std::string& target) {
  if (Status made = make_folder(building); !made) {
    return unexpected(made.error());
  }
  Descriptor folder(::open(building.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder.open()) return errno_failure("open folder", building);
  struct stat opened = {};
  struct stat there = {};
  // Another restore has the lock; or it had the lock until now, and has renamed or deleted the
  // folder that was opened here.
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

// Makes the rows of the backup the data of `folder`, under the mark `as`.
Status restore_data(const RocksOptions& options, const Folder& folder, const std::string& file,
                    const raft::SnapshotMetadata& mark, const raft::SnapshotMetadata& as) {
  if (Status made = DataDb::create(options, folder, {}); !made) return made;
  Import import(options, folder.staging_path() + "/1", mark);
  import.become(as);
  Status read =
      read_pieces(file, [&import](std::string_view piece) { return import.chunk(piece); });
  if (!read) return read;
  const Result<std::shared_ptr<const Staged>> staged = import.finish();
  if (!staged) return named(file, staged.error());
  Alarm alarm;
  raft::SnapshotMetadata found;
  Result<std::unique_ptr<DataDb>> data = DataDb::open(options, folder, alarm, found);
  if (!data) return unexpected(data.error());
  return (*data)->install(**staged);
}

Result<NewCluster> build(const std::string& path, const std::string& file,
                         const std::string& address, const raft::SnapshotMetadata& mark,
                         std::uint64_t now_us) {
  RocksOptions options;
  options.path = path;
  Result<Folder> folder = Folder::open(path);
  if (!folder) return unexpected(folder.error());
  const Result<std::uint64_t> cluster = random_id();
  if (!cluster) return unexpected(cluster.error());
  const raft::EntryId last{mark.last.term, new_history(mark.last.index, now_us)};
  const NewCluster made{folder->self(), raft::ClusterId{*cluster}, last};
  const raft::Level level = mark.members.level;
  const raft::SnapshotMetadata as{last, sole_voter(made.node, address, level), last.index};
  Status done = folder->raise_level(level);
  if (done) done = LogDb::create(options, *folder, {made.node, made.cluster}, {last.term, {}}, as);
  if (done) done = restore_data(options, *folder, file, mark, as);
  if (done) done = remove_tree(folder->staging_path());
  if (done) done = folder->complete();
  if (!done) return unexpected(done.error());
  return made;
}

}  // namespace

Result<BackupInfo> verify_backup(const std::string& file, raft::Level level_max) {
  BackupInfo info;
  SnapshotReader reader({[&info](const raft::SnapshotMetadata& mark) {
                           info.mark = mark;
                           return Status(Unit{});
                         },
                         [](Table, std::string_view, std::string_view) { return Status(Unit{}); }});
  Status whole =
      read_pieces(file, [&reader](std::string_view piece) { return reader.feed(piece); });
  if (!whole) return unexpected(whole.error());
  if (whole = reader.finish(); !whole) return named(file, whole.error());
  const raft::Level level = info.mark.members.level;
  if (level > level_max) {
    return fail(Errc::unimplemented,
                file + ": the backup is of a cluster at feature level " +
                    std::to_string(level.value) + ", and this build knows feature levels up to " +
                    std::to_string(level_max.value) + ": run the newer version of Iris");
  }
  info.rows = reader.rows();
  info.bytes = reader.bytes();
  info.sha256 = hex(bytes_of(reader.digest()));
  return info;
}

Result<NewCluster> restore_backup(const std::string& file, const std::string& folder,
                                  const std::string& address, std::uint64_t now_us,
                                  raft::Level level_max) {
  const std::string target = named_folder(folder);
  const std::string building = target + ".restoring";
  if (Status ready = require_replaceable(target); !ready) {
    return unexpected(ready.error());
  }
  const Result<BackupInfo> backup = verify_backup(file, level_max);
  if (!backup) return unexpected(backup.error());
  const Result<Descriptor> claimed = claim(building, target);  // held until the end
  if (!claimed) return unexpected(claimed.error());
  Result<NewCluster> made = build(building, file, address, backup->mark, now_us);
  Status placed = made ? rename_file(building, target) : Status(Unit{});
  if (made && placed) return made;
  static_cast<void>(remove_tree(building));
  return made ? named(target, placed.error()) : unexpected(made.error());
}

}  // namespace iris::store
