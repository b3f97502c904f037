#include "store/import.h"

#include <rocksdb/cache.h>
#include <rocksdb/options.h>
#include <rocksdb/sst_file_writer.h>

#include <utility>

#include "raft/check.h"
#include "store/engine.h"
#include "store/files.h"
#include "store/keys.h"

namespace iris::store {

Import::Import(const RocksOptions& options, std::string folder, raft::SnapshotMetadata mark)
    : options_(options),
      folder_(std::move(folder)),
      mark_(std::move(mark)),
      installed_as_(mark_),
      reader_({[this](const raft::SnapshotMetadata& found) { return begin(found); },
               [this](Table table, std::string_view key, std::string_view value) {
                 std::string row;
                 row_key(row, table, key);
                 return put(row, value);
               }}),
      staged_(std::make_shared<Staged>()) {}

Import::~Import() {
  file_.reset();
  static_cast<void>(remove_tree(folder_));  // files that stay are deleted at the next start
}

Status Import::chunk(std::string_view bytes) {
  if (state_) state_ = reader_.feed(bytes);
  return state_;
}

Status Import::refuse(const std::string& why) {
  if (state_) state_ = refused(why);
  return state_;
}

Result<std::shared_ptr<const Staged>> Import::finish() {
  if (state_) state_ = reader_.finish();
  if (state_) state_ = close_file();
  if (!state_) return unexpected(state_.error());
  return std::shared_ptr<const Staged>(staged_);
}

// The mark becomes the first rows, those of the store's own table.
Status Import::begin(const raft::SnapshotMetadata& found) {
  if (found != mark_) {
    return fail(Errc::corrupt, "the snapshot's header is not the one that was announced");
  }
  if (Status made = make_folder(folder_); !made) return made;
  staged_->mark = installed_as_;
  std::string row;
  row_key(row, Table::meta, applied_key);
  if (Status done = put(row, encode_applied(installed_as_.last)); !done) return done;
  row_key(row, Table::meta, members_key);
  return put(row, encode_data_members(installed_as_.members, installed_as_.members_index));
}

Status Import::put(std::string_view row, std::string_view value) {
  if (file_ != nullptr && file_->FileSize() >= options_.import_file_bytes) {
    if (Status closed = close_file(); !closed) return closed;
  }
  if (file_ == nullptr) {
    if (Status opened = open_file(); !opened) return opened;
  }
  const rocksdb::Status done = file_->Put(rocksdb::Slice(row), rocksdb::Slice(value));
  if (!done.ok()) return refused(done.ToString());
  return Unit{};
}

Status Import::open_file() {
  rocksdb::Options options(rocksdb::DBOptions(), rows_options(options_, rocksdb::NewLRUCache(0)));
  if (options_.env != nullptr) options.env = options_.env;
  file_ = std::make_unique<rocksdb::SstFileWriter>(rocksdb::EnvOptions(), options);
  staged_->files.push_back(folder_ + "/" + std::to_string(staged_->files.size() + 1) + ".sst");
  const rocksdb::Status opened = file_->Open(staged_->files.back());
  if (!opened.ok()) return refused(opened.ToString());
  return Unit{};
}

// Finish() syncs the file.
Status Import::close_file() {
  CHECK(file_ != nullptr);
  const rocksdb::Status closed = file_->Finish();
  file_.reset();
  if (!closed.ok()) return refused(closed.ToString());
  return Unit{};
}

unexpected<Error> Import::refused(const std::string& why) const {
  return fail(Errc::io, "cannot stage a snapshot in " + folder_ + ": " + why);
}

}  // namespace iris::store
