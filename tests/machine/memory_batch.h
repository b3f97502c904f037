// MemoryBatch: the tables of a store in memory, with a View and a Batch over them, for tests of the
// state machine.
// One thread. CHECKs what the contract of the store forbids: the use of a cursor after a write to
// its batch, and a put under a prefix that was removed in the same batch.
#pragma once

#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "raft/check.h"
#include "raft/types.h"
#include "store/store.h"

namespace iris::store {

struct MemoryTables {
  using Key = std::pair<Table, std::string>;
  std::map<Key, std::string> rows;
  raft::Index applied;
  std::uint64_t writes = 0;  // counts put, remove, remove_prefix

  [[nodiscard]] std::size_t size(Table table) const {
    const auto after = static_cast<Table>(static_cast<std::uint8_t>(table) + 1);
    return static_cast<std::size_t>(
        std::distance(rows.lower_bound({table, ""}), rows.lower_bound({after, ""})));
  }
};

class MemoryCursor : public Cursor {
 public:
  MemoryCursor(const MemoryTables& tables, Table table, std::string_view prefix,
               std::string_view from)
      : tables_(tables), table_(table), prefix_(prefix), writes_(tables.writes) {
    row_ = tables.rows.lower_bound({table, std::string(std::max(prefix, from))});
  }
  [[nodiscard]] bool valid() const override {
    CHECK(tables_.writes == writes_);
    return row_ != tables_.rows.end() && row_->first.first == table_ &&
           row_->first.second.starts_with(prefix_);
  }
  [[nodiscard]] std::string_view key() const override {
    CHECK(valid());
    return row_->first.second;
  }
  [[nodiscard]] std::string_view value() const override {
    CHECK(valid());
    return row_->second;
  }
  void next() override {
    CHECK(valid());
    ++row_;
  }

 private:
  const MemoryTables& tables_;
  const Table table_;
  const std::string prefix_;
  const std::uint64_t writes_;
  std::map<MemoryTables::Key, std::string>::const_iterator row_;
};

// A view of the present state of `tables`, which it borrows.
class MemoryView : public View {
 public:
  explicit MemoryView(const MemoryTables& tables) : tables_(tables) {}
  [[nodiscard]] raft::Index applied() const override { return tables_.applied; }
  [[nodiscard]] Found get(Table table, std::string_view key, std::string& value) const override {
    const auto row = tables_.rows.find({table, std::string(key)});
    if (row == tables_.rows.end()) return Found::no;
    value = row->second;
    return Found::yes;
  }
  [[nodiscard]] std::unique_ptr<Cursor> scan(Table table, std::string_view prefix,
                                             std::string_view from) const override {
    return std::make_unique<MemoryCursor>(tables_, table, prefix, from);
  }

 private:
  const MemoryTables& tables_;
};

// Writes to `tables`, which it borrows, at once. Counts its work, for tests of the cost of a
// command.
class MemoryBatch : public Batch {
 public:
  explicit MemoryBatch(MemoryTables& tables) : tables_(tables), view_(tables) {}

  mutable std::uint64_t gets = 0;
  std::uint64_t puts = 0;

  [[nodiscard]] raft::Index applied() const override { return tables_.applied; }
  [[nodiscard]] Found get(Table table, std::string_view key, std::string& value) const override {
    ++gets;
    return view_.get(table, key, value);
  }
  [[nodiscard]] std::unique_ptr<Cursor> scan(Table table, std::string_view prefix,
                                             std::string_view from) const override {
    return view_.scan(table, prefix, from);
  }
  void put(Table table, std::string_view key, std::string_view value) override {
    for (const auto& [removed_table, prefix] : removed_) {
      CHECK(removed_table != table || !key.starts_with(prefix));
    }
    ++puts;
    ++tables_.writes;
    tables_.rows.insert_or_assign({table, std::string(key)}, std::string(value));
  }
  void remove(Table table, std::string_view key) override {
    ++tables_.writes;
    tables_.rows.erase({table, std::string(key)});
  }
  void remove_prefix(Table table, std::string_view prefix) override {
    ++tables_.writes;
    auto row = tables_.rows.lower_bound({table, std::string(prefix)});
    while (row != tables_.rows.end() && row->first.first == table &&
           row->first.second.starts_with(prefix)) {
      row = tables_.rows.erase(row);
    }
    removed_.emplace_back(table, prefix);
  }

 private:
  MemoryTables& tables_;
  const MemoryView view_;
  std::vector<std::pair<Table, std::string>> removed_;
};

}  // namespace iris::store
