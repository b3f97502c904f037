#include "src/client/backup.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include "src/base/hex.h"
#include "src/base/sync_folder.h"

namespace iris::client {
namespace {

constexpr std::size_t hash_bytes = 32;

}  // namespace

BackupFile::BackupFile(std::string path)
    : path_(std::move(path)), hash_(EVP_MD_CTX_new(), EVP_MD_CTX_free) {}

BackupFile::~BackupFile() {
  if (file_ < 0) return;
  ::unlink(part().c_str());
  ::close(file_);
}

bool BackupFile::fail(const std::string& what) {
  error_ = what + " " + part() + ": " + std::strerror(errno);
  return false;
}

bool BackupFile::begin() {
  if (file_ >= 0) ::close(file_);
  // The rename would take the place of a device or a link, and find out of a folder after all data.
  struct stat there {};
  if (::lstat(path_.c_str(), &there) == 0 && !S_ISREG(there.st_mode)) {
    file_ = -1;
    error_ = "cannot write " + path_ + ": it is " +
             (S_ISDIR(there.st_mode) ? "a folder" : "there and not a regular file");
    return false;
  }
  // What it holds is as secret as the cluster.
  file_ = ::open(part().c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (file_ < 0) return fail("cannot write");
  // Two that write it at once would both call the mixture whole.
  if (!lock()) {
    ::close(std::exchange(file_, -1));
    error_ = "another backup is being written to " + path_;
    return false;
  }
  if (::ftruncate(file_, 0) != 0) return fail("cannot write");
  EVP_DigestInit_ex(hash_.get(), EVP_sha256(), nullptr);
  tail_.clear();
  bytes_ = 0;
  return true;
}

// False: another has it, or had it until now, and what was opened bears another name by this time.
bool BackupFile::lock() const {
  struct stat opened {};
  struct stat named {};
  return ::flock(file_, LOCK_EX | LOCK_NB) == 0 && ::fstat(file_, &opened) == 0 &&
         ::stat(part().c_str(), &named) == 0 && opened.st_ino == named.st_ino;
}

bool BackupFile::write(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(file_, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return fail("cannot write");
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

bool BackupFile::add(std::string_view bytes) {
  if (!write(bytes)) return false;
  bytes_ += bytes.size();
  tail_ += bytes;
  const std::size_t hashed = tail_.size() - std::min(tail_.size(), hash_bytes);
  EVP_DigestUpdate(hash_.get(), tail_.data(), hashed);
  tail_.erase(0, hashed);
  return true;
}

bool BackupFile::finish(const std::string& sha256) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  EVP_DigestFinal_ex(hash_.get(), digest, &size);
  const std::string computed(reinterpret_cast<const char*>(digest), size);
  if (computed != tail_ || hex(computed) != sha256) {
    error_ = "the backup arrived damaged: its SHA-256 is not the one it ends with";
    return false;
  }
  if (::fsync(file_) != 0) return fail("cannot sync");
  if (::rename(part().c_str(), path_.c_str()) != 0) return fail("cannot rename");
  ::close(std::exchange(file_, -1));  // not earlier: the lock goes with it
  return sync_folder_of(path_) || fail("cannot sync the folder of");
}

}  // namespace iris::client
