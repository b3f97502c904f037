#include "tests/sim/rocks_files.h"

#include <rocksdb/env.h>

#include <algorithm>
#include <filesystem>
#include <utility>

#include "raft/check.h"

namespace iris::sim {

using rocksdb::FileOptions;
using rocksdb::IODebugContext;
using rocksdb::IOOptions;
using rocksdb::IOStatus;
using rocksdb::Slice;

namespace {

std::string folder_of(const std::string& path) { return path.substr(0, path.rfind('/')); }

IOStatus missing(const std::string& path) { return IOStatus::NotFound(path); }

// Copies the bytes from `offset` on into `scratch`.
void read_at(const std::string& bytes, std::uint64_t offset, std::size_t count, Slice* result,
             char* scratch) {
  const std::size_t begin = std::min<std::uint64_t>(offset, bytes.size());
  const std::size_t got = std::min(count, bytes.size() - begin);
  std::copy_n(bytes.data() + begin, got, scratch);
  *result = Slice(scratch, got);
}

struct NoLock final : rocksdb::FileLock {};

struct NoLog final : rocksdb::Logger {
  using Logger::Logv;
  void Logv(const char*, va_list) override {}
  [[nodiscard]] std::size_t GetLogFileSize() const override { return 0; }
};

}  // namespace

// --- Open files. Each belongs to the life it was opened in.

class RocksFiles::Sequential final : public rocksdb::FSSequentialFile {
 public:
  Sequential(RocksFiles& files, FilePtr file) : files_(files), file_(std::move(file)) {}
  IOStatus Read(std::size_t count, const IOOptions&, Slice* result, char* scratch,
                IODebugContext*) override {
    const std::lock_guard lock(files_.mutex_);
    if (IOStatus may = files_.ask(Kind::read, life_); !may.ok()) return may;
    read_at(file_->bytes, offset_, count, result, scratch);
    offset_ += result->size();
    return IOStatus::OK();
  }
  IOStatus Skip(std::uint64_t count) override {
    offset_ += count;
    return IOStatus::OK();
  }

 private:
  RocksFiles& files_;
  const FilePtr file_;
  const std::uint64_t life_ = files_.life_;
  std::uint64_t offset_ = 0;
};

class RocksFiles::RandomAccess final : public rocksdb::FSRandomAccessFile {
 public:
  RandomAccess(RocksFiles& files, FilePtr file) : files_(files), file_(std::move(file)) {}
  IOStatus Read(std::uint64_t offset, std::size_t count, const IOOptions&, Slice* result,
                char* scratch, IODebugContext*) const override {
    const std::lock_guard lock(files_.mutex_);
    if (IOStatus may = files_.ask(Kind::read, life_); !may.ok()) return may;
    read_at(file_->bytes, offset, count, result, scratch);
    return IOStatus::OK();
  }

 private:
  RocksFiles& files_;
  const FilePtr file_;
  const std::uint64_t life_ = files_.life_;
};

class RocksFiles::Writable final : public rocksdb::FSWritableFile {
 public:
  Writable(RocksFiles& files, FilePtr file) : files_(files), file_(std::move(file)) {}
  using FSWritableFile::Append;
  IOStatus Append(const Slice& data, const IOOptions&, IODebugContext*) override {
    const std::lock_guard lock(files_.mutex_);
    if (IOStatus may = files_.ask(Kind::change, life_); !may.ok()) return may;
    file_->bytes.append(data.data(), data.size());
    return IOStatus::OK();
  }
  IOStatus Append(const Slice& data, const IOOptions& options, const rocksdb::DataVerificationInfo&,
                  IODebugContext* debug) override {
    return Append(data, options, debug);
  }
  IOStatus Truncate(std::uint64_t size, const IOOptions&, IODebugContext*) override {
    const std::lock_guard lock(files_.mutex_);
    if (IOStatus may = files_.ask(Kind::change, life_); !may.ok()) return may;
    CHECK(size >= file_->synced);  // RocksDB cuts preallocated bytes only
    file_->bytes.resize(size);
    return IOStatus::OK();
  }
  IOStatus Close(const IOOptions&, IODebugContext*) override { return IOStatus::OK(); }
  IOStatus Flush(const IOOptions&, IODebugContext*) override { return IOStatus::OK(); }
  IOStatus Sync(const IOOptions&, IODebugContext*) override {
    const std::lock_guard lock(files_.mutex_);
    if (IOStatus may = files_.ask(Kind::change, life_); !may.ok()) return may;
    file_->synced = file_->bytes.size();
    return IOStatus::OK();
  }
  IOStatus Fsync(const IOOptions& options, IODebugContext* debug) override {
    return Sync(options, debug);
  }
  std::uint64_t GetFileSize(const IOOptions&, IODebugContext*) override {
    const std::lock_guard lock(files_.mutex_);
    return file_->bytes.size();
  }
  [[nodiscard]] bool IsSyncThreadSafe() const override { return true; }

 private:
  RocksFiles& files_;
  const FilePtr file_;
  const std::uint64_t life_ = files_.life_;
};

class RocksFiles::Folder final : public rocksdb::FSDirectory {
 public:
  Folder(RocksFiles& files, std::string path) : files_(files), path_(std::move(path)) {}
  IOStatus Fsync(const IOOptions&, IODebugContext*) override {
    const std::lock_guard lock(files_.mutex_);
    if (IOStatus may = files_.ask(Kind::change, life_); !may.ok()) return may;
    files_.sync_folder(path_);
    return IOStatus::OK();
  }

 private:
  RocksFiles& files_;
  const std::string path_;
  const std::uint64_t life_ = files_.life_;
};

// --- Faults.

void RocksFiles::refuse_once() {
  const std::lock_guard lock(mutex_);
  refuse_ = true;
}

void RocksFiles::die_after(std::uint64_t operations) {
  const std::lock_guard lock(mutex_);
  if (operations_left_ != 0) operations_left_ = operations;
}

bool RocksFiles::dead() const {
  const std::lock_guard lock(mutex_);
  return operations_left_ == 0;
}

void RocksFiles::power_on(bool keep_unsynced) {
  const std::lock_guard lock(mutex_);
  CHECK(operations_left_ == 0);
  operations_left_ = UINT64_MAX;
  refuse_ = false;
  ++life_;
  // As with a journal: the changes of names up to some moment.
  const std::size_t kept = keep_unsynced ? random_.below(changes_.size() + 1) : 0;
  for (std::size_t i = 0; i < kept; ++i) {
    if (changes_[i].file != nullptr) {
      durable_names_[changes_[i].path] = changes_[i].file;
    } else {
      durable_names_.erase(changes_[i].path);
    }
  }
  changes_.clear();
  names_ = durable_names_;
  for (auto& [path, file] : names_) {
    const std::size_t unsynced = file->bytes.size() - file->synced;
    const bool lucky = keep_unsynced && random_.below(2) == 0;
    file->bytes.resize(file->synced + (lucky ? random_.below(unsynced + 1) : 0));
    file->synced = file->bytes.size();
  }
}

void RocksFiles::remove_tree(const std::string& prefix) {
  const std::lock_guard lock(mutex_);
  const auto below = [&](const auto& each) { return each.first.starts_with(prefix); };
  std::erase_if(names_, below);
  std::erase_if(durable_names_, below);
  std::erase_if(changes_, [&](const Change& change) { return change.path.starts_with(prefix); });
}

IOStatus RocksFiles::ask(Kind kind, std::uint64_t life) {
  if (life != life_ || operations_left_ == 0) return IOStatus::IOError("the power is off");
  if (kind == Kind::read) return IOStatus::OK();
  if (operations_left_ != UINT64_MAX && --operations_left_ == 0) {
    return IOStatus::IOError("the power is off");
  }
  if (std::exchange(refuse_, false)) return IOStatus::IOError("the disk refuses");
  return IOStatus::OK();
}

// --- Names.

void RocksFiles::set_name(const std::string& path, FilePtr file) {
  if (file != nullptr) {
    names_[path] = file;
  } else {
    names_.erase(path);
  }
  changes_.push_back({path, std::move(file)});
}

void RocksFiles::sync_folder(const std::string& folder) {
  std::vector<Change> others;
  for (Change& change : changes_) {
    if (folder_of(change.path) != folder) {
      others.push_back(std::move(change));
    } else if (change.file != nullptr) {
      durable_names_[change.path] = std::move(change.file);
    } else {
      durable_names_.erase(change.path);
    }
  }
  changes_ = std::move(others);
}

RocksFiles::FilePtr RocksFiles::find(const std::string& path) const {
  const auto found = names_.find(path);
  return found == names_.end() ? nullptr : found->second;
}

template <class Opened, class Face>
IOStatus RocksFiles::open_to_read(const std::string& path, std::unique_ptr<Face>& result) {
  const std::lock_guard lock(mutex_);
  if (IOStatus may = ask(Kind::read); !may.ok()) return may;
  FilePtr file = find(path);
  if (file == nullptr) return missing(path);
  result = std::make_unique<Opened>(*this, std::move(file));
  return IOStatus::OK();
}

// --- rocksdb::FileSystem

IOStatus RocksFiles::NewSequentialFile(const std::string& path, const FileOptions&,
                                       std::unique_ptr<rocksdb::FSSequentialFile>* result,
                                       IODebugContext*) {
  return open_to_read<Sequential>(path, *result);
}

IOStatus RocksFiles::NewRandomAccessFile(const std::string& path, const FileOptions&,
                                         std::unique_ptr<rocksdb::FSRandomAccessFile>* result,
                                         IODebugContext*) {
  return open_to_read<RandomAccess>(path, *result);
}

IOStatus RocksFiles::NewWritableFile(const std::string& path, const FileOptions&,
                                     std::unique_ptr<rocksdb::FSWritableFile>* result,
                                     IODebugContext*) {
  const std::lock_guard lock(mutex_);
  if (IOStatus may = ask(Kind::change); !may.ok()) return may;
  auto file = std::make_shared<File>();
  set_name(path, file);
  *result = std::make_unique<Writable>(*this, std::move(file));
  return IOStatus::OK();
}

IOStatus RocksFiles::ReopenWritableFile(const std::string& path, const FileOptions&,
                                        std::unique_ptr<rocksdb::FSWritableFile>* result,
                                        IODebugContext*) {
  const std::lock_guard lock(mutex_);
  if (IOStatus may = ask(Kind::change); !may.ok()) return may;
  FilePtr file = find(path);
  if (file == nullptr) set_name(path, file = std::make_shared<File>());
  *result = std::make_unique<Writable>(*this, std::move(file));
  return IOStatus::OK();
}

IOStatus RocksFiles::NewDirectory(const std::string& path, const IOOptions&,
                                  std::unique_ptr<rocksdb::FSDirectory>* result, IODebugContext*) {
  const std::lock_guard lock(mutex_);
  if (IOStatus may = ask(Kind::read); !may.ok()) return may;
  *result = std::make_unique<Folder>(*this, path);
  return IOStatus::OK();
}

IOStatus RocksFiles::FileExists(const std::string& path, const IOOptions&, IODebugContext*) {
  const std::lock_guard lock(mutex_);
  if (IOStatus may = ask(Kind::read); !may.ok()) return may;
  return find(path) != nullptr ? IOStatus::OK() : missing(path);
}

IOStatus RocksFiles::GetChildren(const std::string& path, const IOOptions&,
                                 std::vector<std::string>* result, IODebugContext*) {
  const std::lock_guard lock(mutex_);
  if (IOStatus may = ask(Kind::read); !may.ok()) return may;
  result->clear();
  for (const auto& [name, file] : names_) {
    if (folder_of(name) == path) result->push_back(name.substr(path.size() + 1));
  }
  return IOStatus::OK();
}

IOStatus RocksFiles::DeleteFile(const std::string& path, const IOOptions&, IODebugContext*) {
  const std::lock_guard lock(mutex_);
  if (IOStatus may = ask(Kind::change); !may.ok()) return may;
  if (find(path) == nullptr) return missing(path);
  set_name(path, nullptr);
  return IOStatus::OK();
}

IOStatus RocksFiles::CreateDir(const std::string& path, const IOOptions& options,
                               IODebugContext* debug) {
  return CreateDirIfMissing(path, options, debug);
}

IOStatus RocksFiles::CreateDirIfMissing(const std::string& path, const IOOptions&,
                                        IODebugContext*) {
  const std::lock_guard lock(mutex_);
  if (IOStatus may = ask(Kind::read); !may.ok()) return may;
  std::filesystem::create_directories(path);
  return IOStatus::OK();
}

IOStatus RocksFiles::DeleteDir(const std::string&, const IOOptions&, IODebugContext*) {
  return IOStatus::OK();
}

IOStatus RocksFiles::GetFileSize(const std::string& path, const IOOptions&, std::uint64_t* size,
                                 IODebugContext*) {
  const std::lock_guard lock(mutex_);
  if (IOStatus may = ask(Kind::read); !may.ok()) return may;
  const FilePtr file = find(path);
  if (file == nullptr) return missing(path);
  *size = file->bytes.size();
  return IOStatus::OK();
}

IOStatus RocksFiles::GetFileModificationTime(const std::string&, const IOOptions&,
                                             std::uint64_t* time, IODebugContext*) {
  *time = 0;
  return IOStatus::OK();
}

IOStatus RocksFiles::RenameFile(const std::string& from, const std::string& to, const IOOptions&,
                                IODebugContext*) {
  const std::lock_guard lock(mutex_);
  if (IOStatus may = ask(Kind::change); !may.ok()) return may;
  FilePtr file = find(from);
  if (file == nullptr) return missing(from);
  set_name(to, std::move(file));
  set_name(from, nullptr);
  return IOStatus::OK();
}

IOStatus RocksFiles::LinkFile(const std::string& from, const std::string& to, const IOOptions&,
                              IODebugContext*) {
  const std::lock_guard lock(mutex_);
  if (IOStatus may = ask(Kind::change); !may.ok()) return may;
  FilePtr file = find(from);
  if (file == nullptr) return missing(from);
  set_name(to, std::move(file));
  return IOStatus::OK();
}

// The store has a lock of its own.
IOStatus RocksFiles::LockFile(const std::string&, const IOOptions&, rocksdb::FileLock** lock,
                              IODebugContext*) {
  *lock = new NoLock;
  return IOStatus::OK();
}

IOStatus RocksFiles::UnlockFile(rocksdb::FileLock* lock, const IOOptions&, IODebugContext*) {
  delete lock;
  return IOStatus::OK();
}

// RocksDB's own log is dropped.
IOStatus RocksFiles::NewLogger(const std::string&, const IOOptions&,
                               std::shared_ptr<rocksdb::Logger>* result, IODebugContext*) {
  *result = std::make_shared<NoLog>();
  return IOStatus::OK();
}

IOStatus RocksFiles::GetTestDirectory(const IOOptions&, std::string*, IODebugContext*) {
  return IOStatus::NotSupported("no test directory");
}

IOStatus RocksFiles::GetAbsolutePath(const std::string& path, const IOOptions&,
                                     std::string* absolute, IODebugContext*) {
  *absolute = path;
  return IOStatus::OK();
}

IOStatus RocksFiles::IsDirectory(const std::string& path, const IOOptions&, bool* is_directory,
                                 IODebugContext*) {
  const std::lock_guard lock(mutex_);
  *is_directory = find(path) == nullptr;
  return IOStatus::OK();
}

}  // namespace iris::sim
