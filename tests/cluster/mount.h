// Mount: a small file system for one node's data, which can be full or lie about a sync. The
// destructor unmounts it; no process may have files open there then. One thread.
// Needs the right to mount (root): without it the functions that make one return nothing.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

namespace iris::test {

class Mount {
 public:
  // In memory; full when so much is in it.
  [[nodiscard]] static std::unique_ptr<Mount> capped(std::size_t megabytes);
  // ext4 that believes it has `believed` megabytes, of which only `true_megabytes` exist: writes
  // succeed, and a later sync says EIO, once; the one after it says nothing.
  [[nodiscard]] static std::unique_ptr<Mount> lying(std::size_t believed_megabytes,
                                                    std::size_t true_megabytes);
  ~Mount();
  Mount(const Mount&) = delete;
  Mount& operator=(const Mount&) = delete;

  [[nodiscard]] const std::string& path() const { return mounted_.back(); }
  [[nodiscard]] std::size_t free_bytes() const;
  // Only of capped().
  [[nodiscard]] bool grow(std::size_t megabytes) const;
  // A file that takes all that is free.
  void fill_up() const;
  void clear_up() const;  // deletes it

 private:
  Mount();
  [[nodiscard]] bool mount_memory(std::size_t megabytes);

  std::string folder_;
  std::vector<std::string> mounted_;  // in their order
};

}  // namespace iris::test
