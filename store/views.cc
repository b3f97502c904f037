#include "store/views.h"

#include <rocksdb/db.h>
#include <rocksdb/iterator.h>
#include <rocksdb/options.h>
#include <rocksdb/snapshot.h>

#include <algorithm>
#include <utility>

#include "raft/check.h"
#include "store/engine.h"
#include "store/keys.h"

namespace iris::store {

namespace {

// Of a view that spares the cache: it is for reads of much, in order.
constexpr std::size_t readahead_bytes = 1u << 20;

void raise(Alarm& alarm, const rocksdb::Status& status) {
  alarm.raise(engine_error("the data cannot be read", status));
}

}  // namespace

Found get_row(const Family& family, const rocksdb::ReadOptions& read, std::string_view row,
              std::string& value, Alarm& alarm) {
  const rocksdb::Status got = family.db().Get(read, family.handle(), rocksdb::Slice(row), &value);
  if (got.ok()) return Found::yes;
  if (!got.IsNotFound()) raise(alarm, got);
  return Found::no;
}

Pinned::Pinned(std::shared_ptr<Family> family) : family_(std::move(family)) {
  mark_ = family_->marks().pin([this] {
    snapshot_ = family_->db().GetSnapshot();
    CHECK(snapshot_ != nullptr);
    return snapshot_->GetSequenceNumber();
  });
}

Pinned::~Pinned() { family_->db().ReleaseSnapshot(snapshot_); }

PinnedView::PinnedView(std::shared_ptr<const Pinned> pinned, Alarm& alarm, Cache cache)
    : pinned_(std::move(pinned)), alarm_(alarm), read_(std::make_unique<rocksdb::ReadOptions>()) {
  read_->snapshot = pinned_->snapshot();
  if (cache == Cache::use) return;
  read_->fill_cache = false;
  read_->readahead_size = readahead_bytes;
}

PinnedView::~PinnedView() = default;

Found PinnedView::get(Table table, std::string_view key, std::string& value) const {
  row_key(key_, table, key);
  return get_row(pinned_->family(), *read_, key_, value, alarm_);
}

std::unique_ptr<Cursor> PinnedView::scan(Table table, std::string_view prefix,
                                         std::string_view from) const {
  row_key(key_, table, prefix);
  std::string end = prefix_end(key_);
  row_key(key_, table, std::max(prefix, from));
  return std::make_unique<RowCursor>(pinned_->family(), *read_, key_, std::move(end), alarm_);
}

CachedView::CachedView(std::shared_ptr<Family> family)
    : family_(std::move(family)), read_(std::make_unique<rocksdb::ReadOptions>()) {
  read_->read_tier = rocksdb::kBlockCacheTier;
}

CachedView::~CachedView() = default;

Found CachedView::get(Table table, std::string_view key, std::string& value) const {
  row_key(key_, table, key);
  const rocksdb::Status got =
      family_->db().Get(*read_, family_->handle(), rocksdb::Slice(key_), &value);
  if (got.ok()) return Found::yes;
  if (got.IsNotFound()) return Found::no;
  return Found::incomplete;  // also for a true error: the read lane will meet it and report it
}

std::unique_ptr<Cursor> CachedView::scan(Table /*table*/, std::string_view /*prefix*/,
                                         std::string_view /*from*/) const {
  CHECK(false);
  return nullptr;
}

RowCursor::RowCursor(const Family& family, const rocksdb::ReadOptions& read,
                     const std::string& from, std::string end, Alarm& alarm)
    : end_(std::move(end)),
      bound_(std::make_unique<rocksdb::Slice>(end_)),
      alarm_(alarm),
      read_(std::make_unique<rocksdb::ReadOptions>(read)) {
  read_->iterate_upper_bound = bound_.get();  // else RocksDB looks for a live row behind it
  rows_.reset(family.db().NewIterator(*read_, family.handle()));
  rows_->Seek(from);
  look();
}

RowCursor::~RowCursor() = default;

void RowCursor::look() {
  valid_ = rows_->Valid();
  if (!rows_->status().ok()) raise(alarm_, rows_->status());
}

bool RowCursor::valid() const { return valid_; }

std::string_view RowCursor::key() const { return row().substr(1); }

std::string_view RowCursor::row() const {
  CHECK(valid_);
  return rows_->key().ToStringView();
}

std::string_view RowCursor::value() const {
  CHECK(valid_);
  return rows_->value().ToStringView();
}

void RowCursor::next() {
  CHECK(valid_);
  rows_->Next();
  look();
}

}  // namespace iris::store
