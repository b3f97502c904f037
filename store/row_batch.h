// RowBatch: what jobs on the data lane write, before it is written, as an overlay over a family, so
// that a job sees what it and the jobs before it wrote. A row that is written twice is written
// once; rows go to RocksDB in key order, which its memtable likes best. Besides, it remembers the
// fronts of rows it has seen lately: as nobody else writes, what it remembers is true, and what
// commands ask for costs no look-up.
// Data lane only. Owns overlay and memory; writes nothing itself (DataDb does).
// RocksDB's own indexed batch does not do this well: it costs more per get, keeps every version and
// cannot take back ranges.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
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
  // `memory_bytes_max`: of remembered fronts, about; those unused for long are forgotten.
  RowBatch(Alarm& alarm, std::size_t memory_bytes_max);
  ~RowBatch() override;

  // Over the state of `family`, empty, remembering nothing.
  void begin(std::shared_ptr<Family> family);
  // What was in it is written: empty again, over the state with it.
  void written();
  // What the next job may say is applied before it.
  void set_applied(raft::Index index) { applied_ = index; }

  [[nodiscard]] raft::Index applied() const override { return applied_; }
  [[nodiscard]] Found get(Table table, std::string_view key, std::string& value) const override;
  [[nodiscard]] Found front(Table table, std::string_view key, std::string& front) const override;
  [[nodiscard]] std::unique_ptr<Cursor> scan(Table table, std::string_view prefix,
                                             std::string_view from) const override;
  void put(Table table, std::string_view key, std::string_view value) override;
  void remove(Table table, std::string_view key) override;
  // A few rows are deleted one by one, many as a range (which every later read has to look past).
  void remove_prefix(Table table, std::string_view prefix) override;

  [[nodiscard]] std::size_t bytes() const { return bytes_; }  // written to it so far
  void write_to(rocksdb::WriteBatch& rows) const;

  static constexpr std::size_t removed_singly_max = 64;

 private:
  using Row = std::optional<std::string>;  // no value: it is not there
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view key) const {
      return std::hash<std::string_view>{}(key);
    }
  };
  // By stored key (table + key).
  using Overlay = std::map<std::string, Row, std::less<>>;
  // What is known of a row without its rest.
  struct Front {
    bool there = false;
    std::uint8_t size = 0;
    std::array<char, front_bytes_max> bytes;
  };
  using Memory = std::unordered_map<std::string, Front, Hash, std::equal_to<>>;
  class Merged;
  [[nodiscard]] bool removed(std::string_view row) const;
  [[nodiscard]] const Row* written_here(std::string_view row) const;
  void write(std::string_view row, std::optional<std::string_view> value);
  [[nodiscard]] const Front* recall(std::string_view row) const;
  void remember(std::string row, const std::optional<std::string_view>& value) const;
  void forget();

  Alarm& alarm_;
  const std::size_t memory_bytes_max_;
  raft::Index applied_;
  std::shared_ptr<Family> family_;
  std::unique_ptr<rocksdb::ReadOptions> read_;
  Overlay overlay_;
  std::vector<std::string> removed_prefixes_;  // of rows that are only in the family
  std::size_t bytes_ = 0;
  // Two generations: what is used moves into the young one; when that has half of the bytes it
  // becomes the old one, and the former old one goes.
  mutable Memory young_;
  mutable Memory old_;
  mutable std::size_t young_bytes_ = 0;
  mutable std::string key_;
};

}  // namespace iris::store
