// Views and batches over one DataState, and the byte stream of a snapshot of it.
// One thread. A view keeps its state alive; a batch works on a copy that the caller then keeps.
// For ModelStore, and for tests of the machine that need only a Batch.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "raft/result.h"
#include "store/store.h"
#include "tests/sim/model_disk.h"

namespace iris::sim {

[[nodiscard]] std::unique_ptr<store::Cursor> scan_state(const DataState& state, store::Table table,
                                                        std::string_view prefix,
                                                        std::string_view from);

class StateView : public store::View {
 public:
  explicit StateView(DataPtr state) : state_(std::move(state)) {}
  [[nodiscard]] raft::Index applied() const override { return state_->applied.index; }
  [[nodiscard]] store::Found get(store::Table table, std::string_view key,
                                 std::string& value) const override;
  [[nodiscard]] std::unique_ptr<store::Cursor> scan(store::Table table, std::string_view prefix,
                                                    std::string_view from) const override {
    return scan_state(*state_, table, prefix, from);
  }

 private:
  DataPtr state_;
};

class StateBatch : public store::Batch {
 public:
  // Writes into `state`, which outlives the batch.
  explicit StateBatch(DataState& state) : state_(state), applied_(state.applied.index) {}
  [[nodiscard]] raft::Index applied() const override { return applied_; }
  [[nodiscard]] store::Found get(store::Table table, std::string_view key,
                                 std::string& value) const override;
  [[nodiscard]] std::unique_ptr<store::Cursor> scan(store::Table table, std::string_view prefix,
                                                    std::string_view from) const override {
    return scan_state(state_, table, prefix, from);
  }
  void put(store::Table table, std::string_view key, std::string_view value) override;
  void remove(store::Table table, std::string_view key) override;
  void remove_prefix(store::Table table, std::string_view prefix) override;

 private:
  DataState& state_;
  raft::Index applied_;
  std::vector<std::pair<store::Table, std::string>> removed_prefixes_;
};

// [table 1][key length 4][key][value length 4][value] for each pair, then [0xff], the digests that
// maintenance changed [8] * 7 and the digest of all tables [8].
[[nodiscard]] std::string export_state(const DataState& state);
// The tables from the bytes of export_state(); applied and members come from `mark`. Errors:
// Errc::corrupt.
[[nodiscard]] Result<DataPtr> import_state(const raft::SnapshotMetadata& mark,
                                           std::string_view bytes);

}  // namespace iris::sim
