#include "store/files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <optional>
#include <system_error>

#include "src/base/disk_wait.h"
#include "src/base/read_file.h"

namespace iris::store {

namespace {

constexpr mode_t folder_mode = 0700;
constexpr mode_t file_mode = 0600;

unexpected<Error> failure(std::string_view what, const std::string& path, int error) {
  return fail(Errc::io, "cannot " + std::string(what) + " " + path + ": " +
                            std::generic_category().message(error));
}

bool is_folder(const std::string& path) {
  struct stat found = {};
  return ::stat(path.c_str(), &found) == 0 && S_ISDIR(found.st_mode);
}

Status sync_descriptor(const Descriptor& file, const std::string& path) {
  if (::fsync(file.number()) != 0) return errno_failure("sync", path);
  return Unit{};
}

}  // namespace

Descriptor::~Descriptor() {
  if (number_ >= 0) ::close(number_);
}

unexpected<Error> errno_failure(std::string_view what, const std::string& path) {
  return failure(what, path, errno);
}

bool exists(const std::string& path) {
  may_wait_for_disk();
  struct stat found = {};
  return ::lstat(path.c_str(), &found) == 0;
}

std::string parent_of(const std::string& path) {
  const std::string parent = std::filesystem::path(path).parent_path().string();
  return parent.empty() ? "." : parent;
}

std::string without_trailing_slash(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return path;
}

Status make_folder(const std::string& path) {
  may_wait_for_disk();
  if (is_folder(path)) return Unit{};
  if (exists(path)) return failure("use", path, ENOTDIR);
  const std::string parent = parent_of(path);
  if (parent != path) {
    if (Status made = make_folder(parent); !made) return made;
  }
  if (::mkdir(path.c_str(), folder_mode) != 0 && errno != EEXIST) {
    return errno_failure("create folder", path);
  }
  return sync_folder(parent);
}

Status sync_folder(const std::string& path) {
  may_wait_for_disk();
  const Descriptor folder(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder.open()) return errno_failure("open folder", path);
  return sync_descriptor(folder, path);
}

Result<std::string> read_small_file(const std::string& path, std::size_t bytes_max) {
  std::optional<std::string> bytes = read_file(path, bytes_max);
  if (bytes) return std::move(*bytes);
  if (errno == EFBIG) return fail(Errc::limit, path + " is longer than it can be");
  return errno_failure("read", path);
}

Status write_at(const Descriptor& file, const std::string& path, std::string_view bytes,
                std::size_t offset) {
  may_wait_for_disk();
  while (!bytes.empty()) {
    const ssize_t put =
        ::pwrite(file.number(), bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return errno_failure("write", path);
    bytes.remove_prefix(static_cast<std::size_t>(put));
    offset += static_cast<std::size_t>(put);
  }
  return Unit{};
}

Status replace_file(const std::string& path, std::string_view bytes) {
  const std::string temporary = path + ".tmp";
  {
    const Descriptor file(::open(temporary.c_str(),
                                 O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, file_mode));
    if (!file.open()) return errno_failure("create", temporary);
    if (Status written = write_at(file, temporary, bytes, 0); !written) return written;
    if (Status synced = sync_descriptor(file, temporary); !synced) return synced;
  }
  return rename_file(temporary, path);
}

Status rename_file(const std::string& from, const std::string& to) {
  may_wait_for_disk();
  if (::rename(from.c_str(), to.c_str()) != 0) return errno_failure("rename to", to);
  return sync_folder(parent_of(to));
}

std::uint64_t bytes_of_files(const std::string& folder, std::string_view ending) {
  may_wait_for_disk();
  std::uint64_t bytes = 0;
  std::error_code error;
  std::filesystem::directory_iterator at(folder, error);
  for (; !error && at != std::filesystem::directory_iterator(); at.increment(error)) {
    struct stat found = {};
    if (!at->path().native().ends_with(ending) || ::stat(at->path().c_str(), &found) != 0) continue;
    bytes += static_cast<std::uint64_t>(found.st_size);
  }
  return bytes;
}

Status remove_tree(const std::string& path) {
  may_wait_for_disk();
  std::error_code error;
  std::filesystem::remove_all(path, error);
  if (error) return failure("delete", path, error.value());
  return Unit{};
}

}  // namespace iris::store
