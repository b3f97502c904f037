// Files: what store/ does with files that are not RocksDB's: make, read, replace and delete them,
// so that a power cut leaves the old state or the new one.
// Any thread; blocks. Owns nothing but Descriptors.
// Errors: Errc::io where no line says otherwise; the text is one sentence that names the path and
// the system's reason.
#pragma once

#include <cstdint>
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
// Makes `path` (mode 0700) and the folders missing above it, durably. Succeeds where it exists.
Status make_folder(const std::string& path);
// Makes the names of the files in a folder durable.
Status sync_folder(const std::string& path);
// Errc::limit: the file is longer than bytes_max.
Result<std::string> read_small_file(const std::string& path, std::size_t bytes_max);
// Writes `bytes` (mode 0600) under a temporary name, syncs, renames, syncs the folder (hazard 98).
Status replace_file(const std::string& path, std::string_view bytes);
// Syncs the folder of `to`, but not the file. `to` may exist.
Status rename_file(const std::string& from, const std::string& to);
// Writes all of `bytes` at `offset`, without a sync. `path` is for the error.
Status write_at(const Descriptor& file, const std::string& path, std::string_view bytes,
                std::size_t offset);
// The sizes of the files right in `folder` whose names end so, together. Those that cannot be
// looked at count as nothing.
[[nodiscard]] std::uint64_t bytes_of_files(const std::string& folder, std::string_view ending);
// Deletes a file or a folder with all that is in it. Succeeds where there is nothing.
Status remove_tree(const std::string& path);
// The folder that `path` is in; "." where it names none.
[[nodiscard]] std::string parent_of(const std::string& path);
[[nodiscard]] std::string without_trailing_slash(std::string path);

}  // namespace iris::store
