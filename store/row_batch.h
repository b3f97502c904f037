// RowBatch: the rows that the jobs of a batch have written so far, as an overlay over a family, so
// that a job sees what it and the jobs before it wrote. A row that was written twice goes to
// RocksDB once; rows go in key order, which makes insertions into its memtable cheap.
// It also remembers the fronts of rows that were read or written lately, in memory_bytes_max.
// Nothing else writes the data, so they are true, and most commands are applied without a read of
// RocksDB. They save a fifth of the processor's time of a command with a value of 256 bytes, and
// half with 16 KiB (iris-microbench row_batch, half of the commands about a hundredth of the keys).
// Data lane only. Owns overlay and memory; DataDb writes them.
// RocksDB's WriteBatchWithIndex is not used: a get costs more, it keeps every version of a row,
// and it does not support DeleteRange. The overlay alone takes four fifths of its time
// (iris-microbench write_batch_with_index).
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
  // `memory_bytes_max`: of remembered fronts, about. Those not used for the longest time go first.
  // A read that the disk refuses raises `alarm`.
  RowBatch(Alarm& alarm, std::size_t memory_bytes_max);
  ~RowBatch() override;

  // Begins an empty batch over `family`, with an empty memory.
  void begin(std::shared_ptr<Family> family);
  // The batch is in the family now: it is empty again, and its rows are remembered.
  void written();
  // The applied() of the next job.
  void set_applied(raft::Index index) { applied_ = index; }

  [[nodiscard]] raft::Index applied() const override { return applied_; }
  [[nodiscard]] Found get(Table table, std::string_view key, std::string& value) const override;
  [[nodiscard]] Found front(Table table, std::string_view key, std::string& front) const override;
  [[nodiscard]] std::unique_ptr<Cursor> scan(Table table, std::string_view prefix,
                                             std::string_view from) const override;
  void put(Table table, std::string_view key, std::string_view value) override;
  void remove(Table table, std::string_view key) override;
  // Up to removed_singly_max rows are deleted one by one, more as a range, which each later read
  // has to check.
  void remove_prefix(Table table, std::string_view prefix) override;

  [[nodiscard]] std::size_t bytes() const { return bytes_; }  // of keys and values written so far
  void write_to(rocksdb::WriteBatch& rows) const;

  static constexpr std::size_t removed_singly_max = 64;

 private:
  using Row = std::optional<std::string>;  // nullopt: removed
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view key) const {
      return std::hash<std::string_view>{}(key);
    }
  };
  // By stored key (table + key).
  using Overlay = std::map<std::string, Row, std::less<>>;
  // A remembered row: is it there, and its first bytes.
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
  // Rows of the family with these prefixes are removed; rows of the overlay are not.
  std::vector<std::string> removed_prefixes_;
  std::size_t bytes_ = 0;
  // An approximate LRU in two generations. A row that is used moves into the young one. When that
  // has half of the bytes it becomes the old one, and the former old one is dropped.
  mutable Memory young_;
  mutable Memory old_;
  mutable std::size_t young_bytes_ = 0;
  mutable std::string key_;
};

}  // namespace iris::store
