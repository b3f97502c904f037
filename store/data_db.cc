#include "store/data_db.h"

#include <rocksdb/cache.h>
#include <rocksdb/db.h>
#include <rocksdb/options.h>
#include <rocksdb/write_batch.h>

#include <algorithm>
#include <utility>

#include "raft/check.h"
#include "store/compactions.h"
#include "store/db_listener.h"
#include "store/engine.h"
#include "store/keys.h"

namespace iris::store {

namespace {

constexpr std::uint64_t first_family = 1;

unexpected<Error> corrupt(const std::string& path, const std::string& text) {
  return fail(Errc::corrupt, "the data in " + path + " is damaged: " + text);
}

void put_meta(rocksdb::WriteBatch& batch, rocksdb::ColumnFamilyHandle* family, std::string_view key,
              const std::string& value) {
  std::string row;
  row_key(row, Table::meta, key);
  CHECK(batch.Put(family, row, value).ok());
}

// A number from the default family.
Status read_number(rocksdb::DB& db, const std::string& path, std::string_view key,
                   std::uint64_t& number) {
  std::string bytes;
  const rocksdb::Status got = db.Get(rocksdb::ReadOptions(), rocksdb::Slice(key), &bytes);
  if (!got.ok()) {
    return unexpected(engine_error("record " + std::string(key) + " of " + path, got));
  }
  if (!decode_number(key, bytes, number)) {
    return corrupt(path, "the checksum of record " + std::string(key) + " does not hold");
  }
  return Unit{};
}

}  // namespace

DataDb::DataDb(const RocksOptions& options, std::string path)
    : path_(std::move(path)),
      options_(options),
      cache_(rocksdb::NewLRUCache(options.block_cache_bytes)),
      rows_(std::make_unique<rocksdb::WriteBatch>()) {}

DataDb::~DataDb() {
  on_retired(nullptr);
  family_.reset();
  reap();
  CHECK(families_alive_.load() == 0);
  if (default_ != nullptr) CHECK(db_->DestroyColumnFamilyHandle(default_).ok());
}

Status DataDb::create(const RocksOptions& options, const Folder& folder,
                      const raft::SnapshotMetadata& mark) {
  const std::string path = folder.data_path();
  Alarm alarm;
  rocksdb::Options fresh(data_options(options, alarm), small_options(options));
  fresh.create_if_missing = true;
  fresh.error_if_exists = true;
  rocksdb::DB* made = nullptr;
  const rocksdb::Status opened = rocksdb::DB::Open(fresh, path, &made);
  const std::unique_ptr<rocksdb::DB> db(made);
  if (!opened.ok()) return unexpected(engine_error("cannot make " + path, opened));
  rocksdb::ColumnFamilyHandle* rows = nullptr;
  const rocksdb::Status added = db->CreateColumnFamily(
      rows_options(options, rocksdb::NewLRUCache(0)), family_name(first_family), &rows);
  if (!added.ok()) return unexpected(engine_error("cannot make " + path, added));
  rocksdb::WriteBatch batch;
  put_meta(batch, rows, applied_key, encode_applied(mark.last));
  put_meta(batch, rows, members_key, encode_data_members(mark.members, mark.members_index));
  batch.Put(rocksdb::Slice(node_key), encode_number(node_key, folder.self().value));
  batch.Put(rocksdb::Slice(current_key), encode_number(current_key, first_family));
  const rocksdb::Status written = db->Write(synced_write(), &batch);
  CHECK(db->DestroyColumnFamilyHandle(rows).ok());
  if (!written.ok()) return unexpected(engine_error("cannot write " + path, written));
  return Unit{};
}

Result<std::unique_ptr<DataDb>> DataDb::open(const RocksOptions& options, const Folder& folder,
                                             Alarm& alarm, raft::SnapshotMetadata& found) {
  std::unique_ptr<DataDb> data(new DataDb(options, folder.data_path()));
  const rocksdb::DBOptions settings = data_options(options, alarm);
  std::vector<std::string> names;
  const rocksdb::Status listed = rocksdb::DB::ListColumnFamilies(settings, data->path_, &names);
  const std::string what = "the data in " + data->path_ + " cannot be opened";
  if (!listed.ok()) return unexpected(engine_error(what, listed));
  std::vector<rocksdb::ColumnFamilyDescriptor> families;
  for (const std::string& name : names) {
    const bool rows = name != rocksdb::kDefaultColumnFamilyName;
    families.emplace_back(name,
                          rows ? rows_options(options, data->cache_) : small_options(options));
  }
  std::vector<rocksdb::ColumnFamilyHandle*> handles;
  rocksdb::DB* made = nullptr;
  const rocksdb::Status opened =
      rocksdb::DB::Open(settings, data->path_, families, &handles, &made);
  data->db_.reset(made);
  if (!opened.ok()) return unexpected(engine_error(what, opened));
  check_data_settings(*data->db_);
  keep_write_ahead_files_in_order(*data->db_);
  if (Status read = data->read(folder.self(), handles, found); !read) {
    return unexpected(read.error());
  }
  return data;
}

// Finds the current family and drops the others, which a crash in an installation has left.
Status DataDb::read(const raft::NodeId& self,
                    const std::vector<rocksdb::ColumnFamilyHandle*>& handles,
                    raft::SnapshotMetadata& found) {
  std::vector<std::shared_ptr<Family>> families;
  for (rocksdb::ColumnFamilyHandle* handle : handles) {
    if (handle->GetName() == rocksdb::kDefaultColumnFamilyName) {
      default_ = handle;
    } else {
      families.push_back(make_family(family_number(handle->GetName()), handle));
    }
  }
  std::uint64_t node = 0;
  if (Status got = read_number(*db_, path_, node_key, node); !got) return got;
  if (node != self.value) return fail(Errc::corrupt, path_ + " belongs to another node");
  std::uint64_t number = 0;
  if (Status got = read_number(*db_, path_, current_key, number); !got) return got;
  for (std::shared_ptr<Family>& family : families) {
    if (family->number() == number) {
      family_ = std::move(family);
    } else {
      const rocksdb::Status dropped = db_->DropColumnFamily(family->handle());
      if (!dropped.ok()) return unexpected(engine_error("cannot tidy " + path_, dropped));
    }
  }
  if (family_ == nullptr) return corrupt(path_, "family " + family_name(number) + " is missing");
  families.clear();
  reap();
  Result<raft::SnapshotMetadata> mark = read_mark(*family_);
  if (!mark) return corrupt(path_, mark.error().text);
  found = std::move(*mark);
  family_->marks().begin(found);
  update_compaction_estimate(*db_);
  return Unit{};
}

Result<raft::SnapshotMetadata> DataDb::read_mark(const Family& family) {
  raft::SnapshotMetadata mark;
  for (const std::string_view key : {applied_key, members_key}) {
    std::string row;
    row_key(row, Table::meta, key);
    std::string bytes;
    const rocksdb::Status got =
        family.db().Get(rocksdb::ReadOptions(), family.handle(), row, &bytes);
    if (!got.ok()) return unexpected(engine_error("record " + std::string(key), got));
    const bool sound = key == applied_key
                           ? decode_applied(bytes, mark.last)
                           : decode_data_members(bytes, mark.members, mark.members_index);
    if (!sound) {
      return fail(Errc::corrupt, "the checksum of record " + std::string(key) + " does not hold");
    }
  }
  return mark;
}

Status DataDb::write(RowBatch& batch, const std::optional<Store::Applied>& applied) {
  return write(batch, applied, unsynced_write());
}

Status DataDb::become(RowBatch& batch, const raft::SnapshotMetadata& mark) {
  return write(batch, Store::Applied{mark.last, mark.members, mark.members_index}, synced_write());
}

Status DataDb::write(RowBatch& batch, const std::optional<Store::Applied>& applied,
                     const rocksdb::WriteOptions& how) {
  rocksdb::WriteBatch& rows = *rows_;
  rows.Clear();
  batch.write_to(rows);
  if (applied) put_meta(rows, family_->handle(), applied_key, encode_applied(applied->last));
  if (applied && applied->members) {
    put_meta(rows, family_->handle(), members_key,
             encode_data_members(*applied->members, applied->members_index));
  }
  if (rows.Count() == 0) return Unit{};
  const std::uint64_t sequence = db_->GetLatestSequenceNumber() + rows.Count();
  if (applied) announce(*applied, sequence);
  const rocksdb::Status written = db_->Write(how, &rows);
  if (!written.ok()) return unexpected(engine_error("cannot write the data in " + path_, written));
  CHECK(db_->GetLatestSequenceNumber() == sequence);  // else a state would be taken for another
  batch.written();
  return Unit{};
}

// To those who pin a state while the write is under way.
void DataDb::announce(const Store::Applied& applied, std::uint64_t sequence) const {
  std::shared_ptr<const raft::MembersVersion> members;
  if (applied.members) {
    members = std::make_shared<const raft::MembersVersion>(
        raft::MembersVersion{applied.members_index, *applied.members});
  }
  family_->marks().will_be(sequence, applied.last, std::move(members));
}

Status DataDb::sync() {
  const rocksdb::Status synced = db_->FlushWAL(true);
  if (!synced.ok()) return unexpected(engine_error("cannot sync the data in " + path_, synced));
  return Unit{};
}

void DataDb::compact_early(bool early) {
  early_ = early;
  store::compact_early(*db_, family_->handle(), early);
}

void DataDb::flush_soon() const { store::flush_soon(*db_, family_->handle()); }

Status DataDb::install(const Staged& staged) {
  const auto step = [this](std::string_view name) {
    if (options_.on_step) options_.on_step(name);
  };
  const std::string what = "cannot install a snapshot in " + path_;
  const std::uint64_t number = family_->number() + 1;
  rocksdb::ColumnFamilyHandle* handle = nullptr;
  const rocksdb::Status added =
      db_->CreateColumnFamily(rows_options(options_, cache_), family_name(number), &handle);
  if (!added.ok()) return unexpected(engine_error(what, added));
  std::shared_ptr<Family> fresh = make_family(number, handle);
  step("family made");
  rocksdb::IngestExternalFileOptions ingest;
  ingest.move_files = true;
  ingest.snapshot_consistency = false;  // nobody reads this family yet
  const rocksdb::Status moved = db_->IngestExternalFile(handle, staged.files, ingest);
  if (!moved.ok()) return unexpected(engine_error(what, moved));
  step("files moved");
  const Result<raft::SnapshotMetadata> found = read_mark(*fresh);
  if (!found) return fail(found.error().code, what + ": " + found.error().text);
  CHECK(*found == staged.mark);
  fresh->marks().begin(*found);
  const rocksdb::Status flipped =
      db_->Put(synced_write(), rocksdb::Slice(current_key), encode_number(current_key, number));
  if (!flipped.ok()) return unexpected(engine_error(what, flipped));
  step("data flipped");
  // Unflushed, this one record would keep all later write-ahead files on disk.
  const rocksdb::Status flushed = db_->Flush(rocksdb::FlushOptions(), default_);
  if (!flushed.ok()) return unexpected(engine_error(what, flushed));
  step("data flushed");
  const rocksdb::Status dropped = db_->DropColumnFamily(family_->handle());
  if (!dropped.ok()) return unexpected(engine_error(what, dropped));
  family_ = std::move(fresh);
  if (early_) compact_early(true);
  update_compaction_estimate(*db_);
  step("old data dropped");
  return Unit{};
}

std::shared_ptr<Family> DataDb::make_family(std::uint64_t number,
                                            rocksdb::ColumnFamilyHandle* handle) {
  families_alive_.fetch_add(1);
  return std::make_shared<Family>(number, db_.get(), handle,
                                  [this](rocksdb::ColumnFamilyHandle* done) { retire(done); });
}

void DataDb::retire(rocksdb::ColumnFamilyHandle* handle) {
  const std::lock_guard lock(retired_mutex_);
  retired_.push_back(handle);
  if (on_retired_) on_retired_();
}

void DataDb::on_retired(std::function<void()> retired) {
  const std::lock_guard lock(retired_mutex_);
  on_retired_ = std::move(retired);
}

void DataDb::reap() {
  std::vector<rocksdb::ColumnFamilyHandle*> done;
  {
    const std::lock_guard lock(retired_mutex_);
    done.swap(retired_);
  }
  for (rocksdb::ColumnFamilyHandle* handle : done) {
    CHECK(db_->DestroyColumnFamilyHandle(handle).ok());
    families_alive_.fetch_sub(1);
  }
}

}  // namespace iris::store
