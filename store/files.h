// Files: the few things store/ does with files of its own: make, read, replace and delete them so
// that a power cut leaves the old or the new state. Any thread; blocking; keeps nothing.
// Every error is one sentence that names the path and the system's reason.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "raft/result.h"

namespace iris::store {

// An open file descriptor, closed with its owner.
class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int number) : number_(number) {}
  ~Descriptor();
  Descriptor(Descriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(number_, other.number_);
    return *this;
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  [[nodiscard]] int number() const { return number_; }
  [[nodiscard]] bool open() const { return number_ >= 0; }

 private:
  int number_ = -1;
};

// "cannot WHAT PATH: REASON", with the reason of errno.
[[nodiscard]] unexpected<Error> errno_failure(std::string_view what, const std::string& path);

[[nodiscard]] bool exists(const std::string& path);
// Makes `path` (mode 0700) and what is missing above it, durably. A folder that is there is fine.
Status make_folder(const std::string& path);
// Makes the names in a folder durable.
Status sync_folder(const std::string& path);
// Errc::limit where it is longer than bytes_max.
Result<std::string> read_file(const std::string& path, std::size_t bytes_max);
// Puts `bytes` there under a temporary name, syncs, renames, syncs the folder (hazard 98).
Status replace_file(const std::string& path, std::string_view bytes);
Status rename_file(const std::string& from, const std::string& to);
// Writes all of it at `offset`, without a sync.
Status write_at(const Descriptor& file, const std::string& path, std::string_view bytes,
                std::size_t offset);
// Deletes whatever is there; nothing there is fine.
Status remove_tree(const std::string& path);
[[nodiscard]] std::string parent_of(const std::string& path);
[[nodiscard]] std::string without_trailing_slash(std::string path);

}  // namespace iris::store
