#include "tests/store/test_disk.h"

#include <rocksdb/env.h>
#include <rocksdb/file_system.h>

#include <filesystem>
#include <map>
#include <mutex>
#include <optional>
#include <utility>

namespace iris::store::test {

namespace fs = std::filesystem;
using rocksdb::FileOptions;
using rocksdb::FSWritableFile;
using rocksdb::IODebugContext;
using rocksdb::IOOptions;
using rocksdb::IOStatus;

class TestDisk::Files final : public rocksdb::FileSystemWrapper {
 public:
  Files() : FileSystemWrapper(rocksdb::FileSystem::Default()) {}
  [[nodiscard]] const char* Name() const override { return "TestDisk"; }

  IOStatus NewWritableFile(const std::string& path, const FileOptions& options,
                           std::unique_ptr<FSWritableFile>* result, IODebugContext* debug) override;
  IOStatus RenameFile(const std::string& from, const std::string& to, const IOOptions& options,
                      IODebugContext* debug) override {
    const std::lock_guard lock(mutex);
    IOStatus status = target()->RenameFile(from, to, options, debug);
    if (const auto found = sizes.find(from); status.ok() && found != sizes.end()) {
      sizes[to] = found->second;
      sizes.erase(from);
    }
    return status;
  }
  IOStatus LinkFile(const std::string& from, const std::string& to, const IOOptions& options,
                    IODebugContext* debug) override {
    const std::lock_guard lock(mutex);
    IOStatus status = target()->LinkFile(from, to, options, debug);
    if (const auto found = sizes.find(from); status.ok() && found != sizes.end()) {
      sizes[to] = found->second;
    }
    return status;
  }
  IOStatus DeleteFile(const std::string& path, const IOOptions& options,
                      IODebugContext* debug) override {
    const std::lock_guard lock(mutex);
    sizes.erase(path);
    return target()->DeleteFile(path, options, debug);
  }

  // Counts the operation, and refuses it where that is due. REQUIRES: locked.
  IOStatus ask(Refusal what, const std::string& path) {
    ++operations[path];
    if (!due || due->first != what || path.find(due->second) == std::string::npos) {
      return IOStatus::OK();
    }
    due.reset();
    refused = true;
    return what == Refusal::write ? IOStatus::NoSpace("no space left") : IOStatus::IOError("EIO");
  }

  struct Size {
    std::uint64_t written = 0;
    std::uint64_t synced = 0;
  };
  mutable std::mutex mutex;
  std::map<std::string, Size> sizes;
  std::map<std::string, std::uint64_t> operations;
  std::optional<std::pair<Refusal, std::string>> due;
  bool refused = false;
};

namespace {

template <class Files, class Refusal>
class Tracked final : public rocksdb::FSWritableFileOwnerWrapper {
 public:
  Tracked(std::unique_ptr<FSWritableFile> file, std::string path, Files& files)
      : FSWritableFileOwnerWrapper(std::move(file)), path_(std::move(path)), files_(files) {}

  IOStatus Append(const rocksdb::Slice& data, const IOOptions& options,
                  IODebugContext* debug) override {
    const std::lock_guard lock(files_.mutex);
    if (IOStatus asked = files_.ask(Refusal::write, path_); !asked.ok()) return asked;
    IOStatus status = target()->Append(data, options, debug);
    if (status.ok()) files_.sizes[path_].written += data.size();
    return status;
  }
  IOStatus Append(const rocksdb::Slice& data, const IOOptions& options,
                  const rocksdb::DataVerificationInfo& /*info*/, IODebugContext* debug) override {
    return Append(data, options, debug);
  }
  IOStatus Sync(const IOOptions& options, IODebugContext* debug) override {
    return synced([&] { return target()->Sync(options, debug); });
  }
  IOStatus Fsync(const IOOptions& options, IODebugContext* debug) override {
    return synced([&] { return target()->Fsync(options, debug); });
  }

 private:
  template <class Sync>
  IOStatus synced(Sync sync) {
    const std::lock_guard lock(files_.mutex);
    if (IOStatus asked = files_.ask(Refusal::sync, path_); !asked.ok()) return asked;
    IOStatus status = sync();
    if (status.ok()) files_.sizes[path_].synced = files_.sizes[path_].written;
    return status;
  }

  const std::string path_;
  Files& files_;
};

}  // namespace

IOStatus TestDisk::Files::NewWritableFile(const std::string& path, const FileOptions& options,
                                          std::unique_ptr<FSWritableFile>* result,
                                          IODebugContext* debug) {
  const std::lock_guard lock(mutex);
  std::unique_ptr<FSWritableFile> file;
  IOStatus status = target()->NewWritableFile(path, options, &file, debug);
  if (!status.ok()) return status;
  sizes[path] = {};
  *result = std::make_unique<Tracked<Files, Refusal>>(std::move(file), path, *this);
  return status;
}

TestDisk::TestDisk() : files_(std::make_shared<Files>()), env_(rocksdb::NewCompositeEnv(files_)) {}

TestDisk::~TestDisk() = default;

rocksdb::Env* TestDisk::env() const { return env_.get(); }

void TestDisk::refuse_once(Refusal what, const std::string& part) {
  const std::lock_guard lock(files_->mutex);
  files_->due.emplace(what, part);
}

bool TestDisk::refused() const {
  const std::lock_guard lock(files_->mutex);
  return files_->refused;
}

std::uint64_t TestDisk::operations(const std::string& part) const {
  const std::lock_guard lock(files_->mutex);
  std::uint64_t sum = 0;
  for (const auto& [path, count] : files_->operations) {
    if (path.find(part) != std::string::npos) sum += count;
  }
  return sum;
}

void TestDisk::power_cut(const std::string& from, const std::string& to,
                         std::mt19937& random) const {
  const std::lock_guard lock(files_->mutex);
  fs::create_directories(to);
  for (const fs::directory_entry& one : fs::recursive_directory_iterator(from)) {
    const fs::path copy = to / fs::relative(one.path(), from);
    if (one.is_directory()) {
      fs::create_directories(copy);
      continue;
    }
    fs::create_directories(copy.parent_path());
    fs::copy_file(one.path(), copy);
    const auto found = files_->sizes.find(one.path().string());
    if (found == files_->sizes.end()) continue;  // not written by RocksDB, and synced by its writer
    const Files::Size& size = found->second;
    const std::uint64_t lucky = random() % 2 == 0 ? random() % (size.written - size.synced + 1) : 0;
    fs::resize_file(copy, size.synced + lucky);
  }
}

}  // namespace iris::store::test
