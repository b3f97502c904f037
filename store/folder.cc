#include "store/folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/random.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <string_view>

#include "raft/check.h"
#include "src/base/crc32c.h"
#include "src/base/hex.h"

namespace iris::store {

namespace {

// What an Iris of 2017 kept in its folder.
constexpr std::string_view files_of_2017[] = {"raft.db", "peers.json"};

constexpr std::size_t small_file_bytes_max = 4096;
constexpr std::string_view title = "iris raft folder\n";
constexpr std::size_t id_digits = 16;
constexpr std::size_t sum_digits = 8;

// Takes NAME, a number and "\n" from the front of `text`. False: they are not there.
bool take_line(std::string_view& text, std::string_view name, int base, std::uint64_t& value) {
  const std::size_t end = text.find('\n');
  if (end == std::string_view::npos || !text.starts_with(name)) return false;
  const char* last = text.data() + end;
  const auto [stop, error] = std::from_chars(text.data() + name.size(), last, value, base);
  text.remove_prefix(end + 1);
  return error == std::errc{} && stop == last;
}

std::string identity_text(raft::NodeId self, raft::Level level) {
  const bool has_level = level != raft::Level{};
  std::string text(title);
  text += "format " + std::to_string(has_level ? folder_format : 1) + "\n";
  text += "node " + hex(self.value, id_digits) + "\n";
  if (has_level) text += "level " + std::to_string(level.value) + "\n";
  return text + "check " + hex(crc32c(text), sum_digits) + "\n";
}

}  // namespace

Result<std::uint64_t> random_id() {
  std::uint64_t id = 0;
  while (id == 0) {
    const ssize_t got = ::getrandom(&id, sizeof id, 0);
    if (got < 0 && errno != EINTR) return errno_failure("take random bytes from", "the system");
    if (got != sizeof id) id = 0;
  }
  return id;
}

Result<Folder> Folder::open(const std::string& path, raft::NodeId first_self,
                            raft::Level level_max) {
  CHECK(!path.empty());
  Folder folder(without_trailing_slash(path));
  if (Status made = make_folder(folder.path_); !made) return unexpected(made.error());
  if (Status locked = folder.lock(); !locked) {
    return unexpected(locked.error());
  }
  if (Status condemned = folder.check_condemned(); !condemned) return unexpected(condemned.error());
  Status read =
      exists(folder.identity_path()) ? folder.read_identity(level_max) : folder.begin(first_self);
  if (!read) return unexpected(read.error());
  return folder;
}

Status Folder::lock() {
  const std::string path = path_ + "/lock";
  // A symbolic link in its place would have another file overwritten.
  lock_ = Descriptor(::open(path.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!lock_.open() && errno == ELOOP) {
    return fail(Errc::refused,
                path + " is a symbolic link: the raft folder keeps files of its own");
  }
  if (!lock_.open()) return errno_failure("write to raft folder", path_);
  if (::flock(lock_.number(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return errno_failure("lock", path);
    const Result<std::string> pid = read_small_file(path, small_file_bytes_max);
    const bool known = pid && !pid->empty();
    return fail(Errc::busy, "raft folder " + path_ + " is in use by process " +
                                (known ? pid->substr(0, pid->find('\n')) : "(unknown)"));
  }
  if (::ftruncate(lock_.number(), 0) != 0) return errno_failure("write to", path);
  return write_at(lock_, path, std::to_string(::getpid()) + "\n", 0);
}

Status Folder::read_identity(raft::Level level_max) {
  const Result<std::string> bytes = read_small_file(identity_path(), small_file_bytes_max);
  if (!bytes) return unexpected(bytes.error());
  std::string_view text = *bytes;
  std::uint64_t format = 0;
  const bool titled = text.starts_with(title);
  if (titled) text.remove_prefix(title.size());
  if (titled && take_line(text, "format ", 10, format) && format > folder_format) {
    return fail(Errc::unimplemented, "raft folder " + path_ +
                                         " was written by a newer version (format " +
                                         std::to_string(format) + ", this binary knows " +
                                         std::to_string(folder_format) + "): start that version");
  }
  std::uint64_t sum = 0;
  if (!titled || !take_line(text, "node ", 16, self_.value) ||
      (format > 1 && !take_line(text, "level ", 10, level_.value)) ||
      !take_line(text, "check ", 16, sum) || *bytes != identity_text(self_, level_)) {
    return fail(Errc::corrupt,
                identity_path() + " is damaged: whose folder this is cannot be told");
  }
  if (level_ > level_max) {
    return fail(Errc::unimplemented,
                "raft folder " + path_ + " is of a cluster at feature level " +
                    std::to_string(level_.value) + ", and this build knows feature levels up to " +
                    std::to_string(level_max.value) + ": run the newer version of Iris here");
  }
  for (const std::string& part : {log_path(), data_path(), mark_path()}) {
    if (!exists(part)) return fail(Errc::corrupt, part + " is missing from the raft folder");
  }
  return remove_tree(staging_path());
}

Status Folder::begin(raft::NodeId first_self) {
  for (const std::string_view file : files_of_2017) {
    const std::string path = path_ + "/" + std::string(file);
    if (!exists(path)) continue;
    return fail(Errc::refused,
                path +
                    " is of an Iris of 2017, whose data is not read: take another folder "
                    "(-raftdir), and copy with iris-cli (README.md)");
  }
  if (exists(
          unfinished_path())) {  // of an attempt that was cut off before anything was acknowledged
    for (const std::string& part : {log_path(), data_path(), mark_path(), staging_path()}) {
      if (Status removed = remove_tree(part); !removed) return removed;
    }
  }
  for (const std::string& part : {log_path(), data_path(), mark_path()}) {
    if (exists(part)) {
      return fail(Errc::corrupt, identity_path() + " is missing, though " + part + " is there");
    }
  }
  self_ = first_self;
  if (self_ == raft::NodeId{}) {
    const Result<std::uint64_t> id = random_id();
    if (!id) return unexpected(id.error());
    self_ = raft::NodeId{*id};
  }
  is_new_ = true;
  Status begun = replace_file(unfinished_path(), identity_text(self_, level_));
  if (!begun) return begun;
  // RocksDB would make them readable for everybody, and the folder above may be so already.
  for (const std::string& part : {log_path(), data_path()}) {
    if (Status made = make_folder(part); !made) return made;
  }
  return Unit{};
}

Status Folder::condemn(const std::string& why) {
  return replace_file(condemned_path(), why.substr(0, small_file_bytes_max - 1) + "\n");
}

Status Folder::check_condemned() const {
  if (!exists(condemned_path())) return Unit{};
  const Result<std::string> why = read_small_file(condemned_path(), small_file_bytes_max);
  const bool known = why && !why->empty();
  return fail(Errc::refused,
              "raft folder " + path_ + " is not used any more" +
                  (known ? " (" + why->substr(0, why->find('\n')) + ")" : std::string()) +
                  ": move it away, and start this node with -join, so that it comes back as a new "
                  "member");
}

Status Folder::raise_level(raft::Level level) {
  if (level <= level_) return Unit{};
  level_ = level;
  return replace_file(is_new_ ? unfinished_path() : identity_path(), identity_text(self_, level_));
}

Status Folder::complete() {
  CHECK(is_new_);
  is_new_ = false;
  return rename_file(unfinished_path(), identity_path());
}

}  // namespace iris::store
