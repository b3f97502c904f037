// Views: reads of one family: of a pinned state, or of the newest state from memory alone.
// One thread at a time each, as they reuse a key buffer. Own their family, which stays readable.
// Errors: a read that the disk refuses raises the alarm and answers `no`; the lane then drops all
// that was made of the answer.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "store/alarm.h"
#include "store/family.h"
#include "store/store.h"

namespace rocksdb {
class Iterator;
class Slice;
class Snapshot;
struct ReadOptions;
}  // namespace rocksdb

namespace iris::store {

// A pinned state of a family. Any thread. The state is released by the last owner. Neither waits
// for the disk.
class Pinned {
 public:
  explicit Pinned(std::shared_ptr<Family> family);
  ~Pinned();
  Pinned(const Pinned&) = delete;
  Pinned& operator=(const Pinned&) = delete;
  [[nodiscard]] const Family& family() const { return *family_; }
  [[nodiscard]] const rocksdb::Snapshot* snapshot() const { return snapshot_; }
  // What is applied in it.
  [[nodiscard]] const AppliedMark& mark() const { return mark_; }

 private:
  std::shared_ptr<Family> family_;
  const rocksdb::Snapshot* snapshot_ = nullptr;
  AppliedMark mark_;
};

// Never answers incomplete. All but applied() may wait for the disk.
class PinnedView final : public View {
 public:
  enum class Cache : bool { use, spare };  // spare: blocks that it reads do not replace others
  PinnedView(std::shared_ptr<const Pinned> pinned, Alarm& alarm, Cache cache = Cache::use);
  ~PinnedView() override;
  [[nodiscard]] raft::Index applied() const override { return pinned_->mark().last.index; }
  [[nodiscard]] Found get(Table table, std::string_view key, std::string& value) const override;
  [[nodiscard]] std::unique_ptr<Cursor> scan(Table table, std::string_view prefix,
                                             std::string_view from) const override;
  [[nodiscard]] const std::shared_ptr<const Pinned>& pinned() const { return pinned_; }

 private:
  std::shared_ptr<const Pinned> pinned_;
  Alarm& alarm_;
  std::unique_ptr<rocksdb::ReadOptions> read_;
  mutable std::string key_;
};

// The newest state, from memtables and block cache only.
class CachedView final : public View {
 public:
  explicit CachedView(std::shared_ptr<Family> family);
  ~CachedView() override;
  [[nodiscard]] raft::Index applied() const override { return {}; }
  [[nodiscard]] Found get(Table table, std::string_view key, std::string& value) const override;
  // REQUIRES: not called, as a scan may need the disk.
  [[nodiscard]] std::unique_ptr<Cursor> scan(Table table, std::string_view prefix,
                                             std::string_view from) const override;
  // From now on reads `family`.
  void show(std::shared_ptr<Family> family) { family_ = std::move(family); }
  [[nodiscard]] const std::shared_ptr<Family>& family() const { return family_; }

 private:
  std::shared_ptr<Family> family_;
  std::unique_ptr<rocksdb::ReadOptions> read_;
  mutable std::string key_;
};

// The rows of a family whose stored key (table + key) is in [from, end), in order. key() is without
// the table.
class RowCursor final : public Cursor {
 public:
  RowCursor(const Family& family, const rocksdb::ReadOptions& read, const std::string& from,
            std::string end, Alarm& alarm);
  ~RowCursor() override;
  [[nodiscard]] bool valid() const override;
  [[nodiscard]] std::string_view key() const override;
  [[nodiscard]] std::string_view value() const override;
  void next() override;
  // The stored key. REQUIRES: valid().
  [[nodiscard]] std::string_view row() const;

 private:
  void look();

  const std::string end_;
  const std::unique_ptr<rocksdb::Slice> bound_;  // of end_; the iterator refers to it
  Alarm& alarm_;
  std::unique_ptr<rocksdb::ReadOptions> read_;
  std::unique_ptr<rocksdb::Iterator> rows_;
  bool valid_ = false;
};

// Reads one row by its stored key. Where the disk refuses: Found::no, and the alarm is raised.
[[nodiscard]] Found get_row(const Family& family, const rocksdb::ReadOptions& read,
                            std::string_view row, std::string& value, Alarm& alarm);

}  // namespace iris::store
