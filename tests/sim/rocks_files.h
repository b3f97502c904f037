// RocksFiles: a file system in memory for RocksDB, which tracks the synced part of files and of
// names in folders. It can refuse an operation, and die after a number of them. A crash leaves the
// synced part and a random part of the rest.
// Any thread (RocksDB writes its tables on its own). Owns all bytes. Files that are open when it
// dies fail from then on, also after power_on(). Folders are made on the real disk as well, because
// the store looks for them there.
#pragma once

#include <rocksdb/file_system.h>

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "tests/sim/random.h"

namespace iris::sim {

class RocksFiles final : public rocksdb::FileSystem {
 public:
  explicit RocksFiles(std::uint64_t seed) : random_(seed) {}

  // --- Faults.
  // Refuses the next write, or the next sync, once; the bytes of that write are lost.
  void refuse_once();
  // A power cut after so many more operations; UINT64_MAX: none.
  void die_after(std::uint64_t operations);
  void die() { die_after(0); }
  [[nodiscard]] bool dead() const;
  // Leaves the content that survives. REQUIRES: dead().
  void power_on(bool keep_unsynced);
  // Deletes everything under `prefix`, durably, as the store does without RocksDB.
  void remove_tree(const std::string& prefix);

  // --- rocksdb::FileSystem
  [[nodiscard]] const char* Name() const override { return "RocksFiles"; }
  rocksdb::IOStatus NewSequentialFile(const std::string& path, const rocksdb::FileOptions& options,
                                      std::unique_ptr<rocksdb::FSSequentialFile>* result,
                                      rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus NewRandomAccessFile(const std::string& path,
                                        const rocksdb::FileOptions& options,
                                        std::unique_ptr<rocksdb::FSRandomAccessFile>* result,
                                        rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus NewWritableFile(const std::string& path, const rocksdb::FileOptions& options,
                                    std::unique_ptr<rocksdb::FSWritableFile>* result,
                                    rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus ReopenWritableFile(const std::string& path, const rocksdb::FileOptions& options,
                                       std::unique_ptr<rocksdb::FSWritableFile>* result,
                                       rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus NewDirectory(const std::string& path, const rocksdb::IOOptions& options,
                                 std::unique_ptr<rocksdb::FSDirectory>* result,
                                 rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus FileExists(const std::string& path, const rocksdb::IOOptions& options,
                               rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus GetChildren(const std::string& path, const rocksdb::IOOptions& options,
                                std::vector<std::string>* result,
                                rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus DeleteFile(const std::string& path, const rocksdb::IOOptions& options,
                               rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus CreateDir(const std::string& path, const rocksdb::IOOptions& options,
                              rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus CreateDirIfMissing(const std::string& path, const rocksdb::IOOptions& options,
                                       rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus DeleteDir(const std::string& path, const rocksdb::IOOptions& options,
                              rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus GetFileSize(const std::string& path, const rocksdb::IOOptions& options,
                                std::uint64_t* size, rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus GetFileModificationTime(const std::string& path,
                                            const rocksdb::IOOptions& options, std::uint64_t* time,
                                            rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus RenameFile(const std::string& from, const std::string& to,
                               const rocksdb::IOOptions& options,
                               rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus LinkFile(const std::string& from, const std::string& to,
                             const rocksdb::IOOptions& options,
                             rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus LockFile(const std::string& path, const rocksdb::IOOptions& options,
                             rocksdb::FileLock** lock, rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus UnlockFile(rocksdb::FileLock* lock, const rocksdb::IOOptions& options,
                               rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus NewLogger(const std::string& path, const rocksdb::IOOptions& options,
                              std::shared_ptr<rocksdb::Logger>* result,
                              rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus GetTestDirectory(const rocksdb::IOOptions& options, std::string* path,
                                     rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus GetAbsolutePath(const std::string& path, const rocksdb::IOOptions& options,
                                    std::string* absolute, rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus IsDirectory(const std::string& path, const rocksdb::IOOptions& options,
                                bool* is_directory, rocksdb::IODebugContext* debug) override;

 private:
  struct File {
    std::string bytes;
    std::size_t synced = 0;
  };
  using FilePtr = std::shared_ptr<File>;
  using Names = std::map<std::string, FilePtr>;
  // One change of a name that a sync of its folder has not made durable yet.
  struct Change {
    std::string path;
    FilePtr file;  // nullptr: the name is gone
  };
  class Sequential;
  class RandomAccess;
  class Writable;
  class Folder;

  enum class Kind { read, change };
  // REQUIRES: locked. Counts an operation of the life `life`; an error where it must not happen.
  rocksdb::IOStatus ask(Kind kind, std::uint64_t life);
  rocksdb::IOStatus ask(Kind kind) { return ask(kind, life_); }
  void set_name(const std::string& path, FilePtr file);
  void sync_folder(const std::string& folder);
  [[nodiscard]] FilePtr find(const std::string& path) const;
  template <class Opened, class Face>
  rocksdb::IOStatus open_to_read(const std::string& path, std::unique_ptr<Face>& result);

  mutable std::mutex mutex_;
  Random random_;
  Names names_;
  Names durable_names_;
  std::vector<Change> changes_;  // from durable_names_ to names_, in their order
  std::uint64_t life_ = 0;
  std::uint64_t operations_left_ = UINT64_MAX;
  bool refuse_ = false;
};

}  // namespace iris::sim
