// Pages: rows for a listener, read from the store in bounded pieces: of a state, or the keys that a
// RemoveSource removed.
// Pure functions over a view that may ask the disk, for the read lane; their results go to the
// loop.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "src/listeners/update.h"
#include "store/store.h"

namespace iris::listening {

struct PageLimits {
  std::size_t bytes_max = 0;  // of rows that are returned; the last row may exceed it
  std::size_t rows_max = 0;   // that are looked at, not only returned
};

struct StateItem {
  std::string source;
  std::optional<std::string> key;  // none: the whole source
  bool absent_only = false;        // of a key: its value, if any, came with the whole source
};
struct StateRequest {
  std::vector<StateItem> items;
  std::string start_after;  // a key, if the first item is a whole source; empty: from the first
  std::uint64_t newer_than = 0;  // values with a revision up to this are left out
  bool tell_absent = false;      // a removal is returned for each single key that is absent
};
struct StatePage {
  std::vector<UpdatePtr> rows;
  std::size_t items_done = 0;  // so many items of the request are complete
  std::string last_key;        // the next item, a whole source, is complete up to here; else empty
};
// Of the rows, in a queue.
[[nodiscard]] std::size_t bytes_of(const std::vector<UpdatePtr>& rows);

[[nodiscard]] StatePage read_state(const store::View& view, const StateRequest& request,
                                   const PageLimits& limits);

struct TombstoneRequest {
  std::uint64_t revision = 0;                    // of the RemoveSource
  std::string start_after;                       // empty: from the first key
  std::optional<std::vector<std::string>> keys;  // only these, sorted; none: all that it had
  bool more_keys = false;                        // others are asked for in a later page
};
struct TombstonePage {
  bool purged = false;  // the tombstone is gone, and with it its keys
  bool complete = false;
  std::vector<UpdatePtr> rows;  // sorted by key
  std::string last_key;         // keys up to here were looked at
};
[[nodiscard]] TombstonePage read_tombstone(const store::View& view, const TombstoneRequest& request,
                                           const PageLimits& limits);

}  // namespace iris::listening
