// StateHash: two hashes of the state that the log up to one index makes. They are equal on all
// nodes that applied the same commands, and are made of the rows as the disk has them: so they
// find wrong commands and rotten rows alike.
// One thread at a time. Owns the two hashes under way, and sixteen bytes for each tombstone.
//
// The log does not decide everything in the tables. Not in a hash is:
//   - the record of purged(), and the tombstones, no-ops and values of removed sources up to it:
//     each node deletes those at its own time
//   - the part of a session's row that older versions did not write, or not from its beginning
//
// data      sources, sessions, subscriptions, and values of the sources that there are
// history   tombstones after `history_after`, the values that they removed, and no-ops after it.
//           Only where this node has purged no further than that
//
// A scan, rather than a sum that each command keeps: that would have to read the value that a
// SetValue replaces (16.3 us a command instead of 12.8: overwrite_with_running_hash in
// iris-microbench), and would say nothing of what happens to a row on the disk. What the scan costs
// stands at NodeOptions::state_check_bytes_per_second.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "raft/types.h"
#include "src/base/xxh3.h"
#include "store/store.h"

namespace iris {

struct StateHash {
  raft::Index index;  // the last entry whose effects are in it
  std::uint64_t purged = 0;
  Hash128 data;
  std::optional<Hash128> history;
};

class StateHasher {
 public:
  // `history_after`: a revision; nodes compare the history after it.
  explicit StateHasher(std::uint64_t history_after) : history_after_(history_after) {}

  // Takes further rows of `view` until about bytes_max were read; returns how many. REQUIRES:
  // !done(); the same view at each call, one that may ask the disk.
  std::size_t read(const store::View& view, std::size_t bytes_max);
  [[nodiscard]] bool done() const { return table_ == tables.size(); }
  [[nodiscard]] StateHash result() const;  // REQUIRES: done()

 private:
  // Tombstones come first: they tell which values belong to a removed source.
  static constexpr std::array<store::Table, 6> tables = {
      store::Table::tombstones, store::Table::sources,  store::Table::values,
      store::Table::no_ops,     store::Table::sessions, store::Table::subscriptions};

  void begin(const store::View& view);
  void next_table();
  void take(std::string_view key, std::string_view value);
  void take_tombstone(std::string_view key, std::string_view value);
  void take_value(std::string_view key, std::string_view value);
  void take_no_op(std::string_view key, std::string_view value);
  void add(Xxh3& hash, std::string_view key, std::string_view value) const;
  [[nodiscard]] bool in_history(std::uint64_t revision) const {
    return has_history_ && revision > history_after_;
  }

  const std::uint64_t history_after_;
  bool begun_ = false;
  raft::Index index_;
  std::uint64_t purged_ = 0;
  bool has_history_ = false;
  // Generations of removed sources, in order once all are there, and revisions of their removal.
  std::vector<std::pair<std::uint64_t, std::uint64_t>> removed_;
  std::size_t table_ = 0;
  std::string from_;  // the next key in that table
  Xxh3 data_;
  Xxh3 history_;
};

}  // namespace iris
