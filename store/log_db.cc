#include "store/log_db.h"

#include <rocksdb/convenience.h>
#include <rocksdb/db.h>
#include <rocksdb/iterator.h>
#include <rocksdb/options.h>
#include <rocksdb/write_batch.h>

#include <algorithm>
#include <utility>

#include "raft/check.h"
#include "raft/members.h"
#include "store/compactions.h"
#include "store/db_listener.h"
#include "store/engine.h"

namespace iris::store {

namespace {

Error read_error(const std::string& path, const std::string& what, const rocksdb::Status& status) {
  return engine_error("the log in " + path + " cannot be read at " + what, status);
}

unexpected<Error> corrupt(const std::string& path, const std::string& text) {
  return fail(Errc::corrupt, "the log in " + path + " is damaged: " + text);
}

// A record of the log other than an entry. Errc::corrupt: it is missing or damaged.
template <class Decode, class Record>
Status read_record(rocksdb::DB& db, const std::string& path, std::string_view key, Decode decode,
                   Record& record) {
  std::string bytes;
  const rocksdb::Status got = db.Get(rocksdb::ReadOptions(), rocksdb::Slice(key), &bytes);
  if (got.IsNotFound()) return corrupt(path, "record " + std::string(key) + " is missing");
  if (!got.ok()) return unexpected(read_error(path, "record " + std::string(key), got));
  if (!decode(bytes, record)) {
    return corrupt(path, "the checksum of record " + std::string(key) + " does not hold");
  }
  return Unit{};
}

rocksdb::ReadOptions whole_log() {
  rocksdb::ReadOptions read;
  read.total_order_seek = true;
  read.verify_checksums = true;
  read.fill_cache = false;
  read.readahead_size = 1u << 20;
  return read;
}

}  // namespace

LogDb::LogDb(Folder& folder, std::unique_ptr<rocksdb::DB> db, HighWaterMark high_water_mark)
    : folder_(folder),
      path_(folder.log_path()),
      db_(std::move(db)),
      high_water_mark_(std::move(high_water_mark)),
      batch_(std::make_unique<rocksdb::WriteBatch>()) {}

LogDb::~LogDb() = default;

Status LogDb::create(const RocksOptions& options, const Folder& folder, const Identity& identity,
                     const raft::HardState& state, const raft::SnapshotMetadata& floor) {
  CHECK(state.term >= floor.last.term);
  Alarm alarm;
  rocksdb::Options fresh = log_options(options, alarm);
  fresh.create_if_missing = true;
  fresh.error_if_exists = true;
  rocksdb::DB* made = nullptr;
  const rocksdb::Status opened = rocksdb::DB::Open(fresh, folder.log_path(), &made);
  const std::unique_ptr<rocksdb::DB> db(made);
  if (!opened.ok()) return unexpected(engine_error("cannot make " + folder.log_path(), opened));
  const Head head{1, state, floor.last, 0};
  rocksdb::WriteBatch batch;
  batch.Put(rocksdb::Slice(identity_key), encode_identity(identity));
  batch.Put(rocksdb::Slice(floor_key), encode_floor({floor, 0}));
  batch.Put(rocksdb::Slice(head_key), encode_head(head));
  const rocksdb::Status written = db->Write(synced_write(), &batch);
  if (!written.ok()) return unexpected(engine_error("cannot write " + folder.log_path(), written));
  return HighWaterMark::create(folder.mark_path(), head.batch);
}

Result<std::unique_ptr<LogDb>> LogDb::open(const RocksOptions& options, Folder& folder,
                                           Alarm& alarm, LogFound& found) {
  const std::string path = folder.log_path();
  Result<HighWaterMark> high_water_mark = HighWaterMark::open(folder.mark_path());
  if (!high_water_mark) return unexpected(high_water_mark.error());
  rocksdb::DB* made = nullptr;
  const rocksdb::Status opened = rocksdb::DB::Open(log_options(options, alarm), path, &made);
  std::unique_ptr<rocksdb::DB> db(made);
  if (!opened.ok()) {
    return unexpected(engine_error("the log in " + path + " cannot be opened", opened));
  }
  check_log_settings(*db);
  update_compaction_estimate(*db);
  std::unique_ptr<LogDb> log(new LogDb(folder, std::move(db), std::move(*high_water_mark)));
  if (Status read = log->read(found); !read) return unexpected(read.error());
  if (found.identity.node != folder.self()) {
    return fail(Errc::corrupt, path + " belongs to another node than " + folder.path());
  }
  return log;
}

Status LogDb::read(LogFound& found) {
  if (Status read = read_record(*db_, path_, identity_key, decode_identity, identity_); !read) {
    return read;
  }
  if (Status read = read_record(*db_, path_, head_key, decode_head, head_); !read) return read;
  if (Status read = read_record(*db_, path_, floor_key, decode_floor, floor_); !read) return read;
  if (head_.batch < high_water_mark_.batch()) {
    return corrupt(path_, "it has lost synced records: it ends with batch " +
                              std::to_string(head_.batch) + ", and batch " +
                              std::to_string(high_water_mark_.batch()) + " had been synced");
  }
  if (Status read = read_entries(found); !read) return read;
  std::string bytes;
  const rocksdb::Status got = db_->Get(rocksdb::ReadOptions(), rocksdb::Slice(install_key), &bytes);
  if (!got.ok() && !got.IsNotFound()) {
    return unexpected(read_error(path_, std::string(install_key), got));
  }
  if (got.ok() && !decode_install(bytes, found.install.emplace())) {
    return corrupt(path_, "the checksum of record " + std::string(install_key) + " does not hold");
  }
  found.identity = identity_;
  found.state = head_.state;
  found.floor = floor_.mark;
  if (head_.batch > high_water_mark_.batch()) {
    if (Status noted = high_water_mark_.note(head_.batch); !noted) return noted;
  }
  return high_water_mark_.sync();
}

// The chain from the floor to the head, without a gap, in terms that never go down.
Status LogDb::read_entries(LogFound& found) {
  raft::EntryId before = floor_.mark.last;
  Chain chain = floor_.chain;
  chains_.assign(1, chain);
  const std::unique_ptr<rocksdb::Iterator> at(db_->NewIterator(whole_log()));
  const std::string end = entries_end();
  for (at->Seek(entry_key(before.index.next())); at->Valid() && at->key().compare(end) < 0;
       at->Next()) {
    const raft::Index index = before.index.next();
    if (index_of(at->key().ToStringView()) != index) {
      return corrupt(path_, "log record " + std::to_string(index.value) + " is missing");
    }
    Result<raft::EntryPtr> entry = decode_entry(index, at->value().ToStringView(), chain);
    if (!entry) return corrupt(path_, entry.error().text);
    if ((*entry)->id.term < before.term || (*entry)->id.term > head_.state.term) {
      return corrupt(path_, "the term of log record " + std::to_string(index.value) +
                                " does not fit between its neighbours'");
    }
    before = (*entry)->id;
    chains_.push_back(chain);
    found.entries.push_back(std::move(*entry));
  }
  if (!at->status().ok()) {
    return unexpected(
        read_error(path_, "log record " + std::to_string(before.index.value + 1), at->status()));
  }
  if (before != head_.last || chain != head_.chain) {
    return corrupt(path_, "it ends with log record " + std::to_string(before.index.value) +
                              " where record " + std::to_string(head_.last.index.value) +
                              " was the last");
  }
  return Unit{};
}

void LogDb::stage_state(const raft::HardState& state) {
  CHECK(state.term >= head_.state.term);
  CHECK(state.term > head_.state.term || head_.state.vote == raft::NodeId{} ||
        state.vote == head_.state.vote);  // one vote a term (hazard 3)
  if (state == head_.state) return;
  head_.state = state;
  state_staged_ = true;
}

void LogDb::stage_entries(const std::vector<raft::EntryPtr>& entries) {
  if (entries.empty()) return;
  const raft::Index floor = floor_.mark.last.index;
  const raft::Index old_last = head_.last.index;
  const raft::Index first = entries.front()->id.index;
  CHECK(first > floor);
  CHECK(first <= old_last.next());
  chains_.resize(first.value - floor.value);
  raft::Index next = first;
  for (const raft::EntryPtr& entry : entries) {
    CHECK(entry->id.index == next);
    CHECK(entry->id.term <= head_.state.term);
    if (const raft::Members* members = raft::members_in(*entry)) {
      level_ = std::max(level_, members->level);
    }
    chains_.push_back(encode_entry(*entry, chains_.back(), scratch_));
    batch_->Put(entry_key(next), scratch_);
    next = next.next();
  }
  for (; next <= old_last; next = next.next()) batch_->Delete(entry_key(next));
  head_.last = entries.back()->id;
  head_.chain = chains_.back();
}

void LogDb::stage_cluster(raft::ClusterId cluster) {
  identity_.cluster = cluster;
  batch_->Put(rocksdb::Slice(identity_key), encode_identity(identity_));
}

void LogDb::stage_trim(const raft::SnapshotMetadata& floor) {
  const raft::Index former = floor_.mark.last.index;
  const raft::Index index = floor.last.index;
  if (index <= former) return;
  CHECK(index <= head_.last.index);
  chains_.erase(chains_.begin(),
                chains_.begin() + static_cast<std::ptrdiff_t>(index.value - former.value));
  floor_ = {floor, chains_.front()};
  batch_->Put(rocksdb::Slice(floor_key), encode_floor(floor_));
  batch_->DeleteRange(entry_key(former.next()), entry_key(index.next()));
  trimmed_ = true;
}

void LogDb::stage_install(const Install& install) {
  level_ = std::max(level_, install.mark.members.level);
  batch_->Put(rocksdb::Slice(install_key), encode_install(install));
}

void LogDb::stage_no_install() { batch_->Delete(rocksdb::Slice(install_key)); }

Result<bool> LogDb::holds(raft::EntryId id) {
  const raft::Index floor = floor_.mark.last.index;
  if (id.index <= floor || id.index > head_.last.index) return false;
  std::string bytes;
  const rocksdb::Status got = db_->Get(rocksdb::ReadOptions(), entry_key(id.index), &bytes);
  const std::string what = "log record " + std::to_string(id.index.value);
  if (!got.ok()) return unexpected(read_error(path_, what, got));
  Chain chain = chains_[id.index.value - floor.value - 1];
  const Result<raft::EntryPtr> entry = decode_entry(id.index, bytes, chain);
  if (!entry) return corrupt(path_, entry.error().text);
  return (*entry)->id == id;
}

Status LogDb::stage_restart(const raft::SnapshotMetadata& mark) {
  CHECK(!anything_staged());
  CHECK(mark.last.term <= head_.state.term);
  const Result<bool> held = holds(mark.last);
  if (!held) return unexpected(held.error());
  if (*held) {
    stage_trim(mark);
  } else {
    batch_->DeleteRange(entry_key(raft::Index{}), entries_end());
    floor_ = {mark, 0};
    head_.last = mark.last;
    head_.chain = floor_.chain;
    chains_.assign(1, floor_.chain);
    batch_->Put(rocksdb::Slice(floor_key), encode_floor(floor_));
    trimmed_ = true;
  }
  stage_no_install();
  return Unit{};
}

bool LogDb::anything_staged() const { return state_staged_ || batch_->Count() > 0; }
std::size_t LogDb::staged_bytes() const { return batch_->GetDataSize(); }

Status LogDb::commit() {
  CHECK(anything_staged());
  if (Status raised = folder_.raise_level(level_); !raised) return raised;
  ++head_.batch;
  batch_->Put(rocksdb::Slice(head_key), encode_head(head_));
  const rocksdb::Status written = db_->Write(synced_write(), batch_.get());
  if (!written.ok()) return unexpected(engine_error("cannot write the log in " + path_, written));
  batch_->Clear();
  state_staged_ = false;
  if (Status noted = high_water_mark_.note(head_.batch); !noted) return noted;
  if (std::exchange(trimmed_, false)) reclaim();
  return Unit{};
}

void LogDb::compact_early(bool early) {
  store::compact_early(*db_, db_->DefaultColumnFamily(), early);
}

void LogDb::flush_soon() const { store::flush_soon(*db_, db_->DefaultColumnFamily()); }

// Deletes whole files below the floor at once, but for those on level 0. The rest goes when RocksDB
// compacts. This saves space only, so that an error here loses nothing (a true one raises the
// alarm).
void LogDb::reclaim() {
  const std::string begin = entry_key(raft::Index{});
  const std::string end = entry_key(floor_.mark.last.index.next());
  const rocksdb::Slice first(begin);
  const rocksdb::Slice last(end);
  const rocksdb::RangePtr range(&first, &last);
  rocksdb::DeleteFilesInRanges(db_.get(), db_->DefaultColumnFamily(), &range, 1, false)
      .PermitUncheckedError();
}

}  // namespace iris::store
