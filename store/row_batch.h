// RowBatch: what jobs on the data lane write, before it is written: a RocksDB batch and beside it
// an ordered overlay of the same rows, so that a job sees what it and the jobs before it wrote.
// Data lane only. Owns batch and overlay; writes nothing itself (DataDb does).
// RocksDB's own indexed batch does not do this well: it costs more per get and cannot take back
// ranges.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "store/alarm.h"
#include "store/family.h"
#include "store/store.h"

namespace rocksdb {
class WriteBatch;
struct ReadOptions;
}  // namespace rocksdb

namespace iris::store {

class RowBatch final : public Batch {
 public:
  explicit RowBatch(Alarm& alarm);
  ~RowBatch() override;

  // Empties it, over the state of `family`.
  void begin(std::shared_ptr<Family> family);
  // What the next job may say is applied before it.
  void set_applied(raft::Index index) { applied_ = index; }

  [[nodiscard]] raft::Index applied() const override { return applied_; }
  [[nodiscard]] Found get(Table table, std::string_view key, std::string& value) const override;
  [[nodiscard]] std::unique_ptr<Cursor> scan(Table table, std::string_view prefix,
                                             std::string_view from) const override;
  void put(Table table, std::string_view key, std::string_view value) override;
  void remove(Table table, std::string_view key) override;
  // A few rows are deleted one by one, many as a range (which every later read has to look past).
  void remove_prefix(Table table, std::string_view prefix) override;

  [[nodiscard]] std::size_t bytes() const;
  [[nodiscard]] bool empty() const;
  [[nodiscard]] rocksdb::WriteBatch& rows() { return *rows_; }

  static constexpr std::size_t removed_singly_max = 64;

 private:
  // By stored key (table + key); no value: removed.
  using Overlay = std::map<std::string, std::optional<std::string>, std::less<>>;
  class Merged;
  [[nodiscard]] bool removed(std::string_view row) const;
  void write(std::string_view row, std::optional<std::string_view> value);

  Alarm& alarm_;
  raft::Index applied_;
  std::shared_ptr<Family> family_;
  std::unique_ptr<rocksdb::WriteBatch> rows_;
  std::unique_ptr<rocksdb::ReadOptions> read_;
  Overlay overlay_;
  std::vector<std::string> removed_prefixes_;  // of rows that are only in the family
  mutable std::string key_;
};

}  // namespace iris::store
