// Pages: rows for a listener, read from the store in bounded pieces: the state of what it is
// subscribed to, or the keys that a RemoveSource took away.
// Pure functions over a view that may ask the disk; run on the read lane. What they return is
// handed over to the loop.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "src/listeners/update.h"
#include "store/store.h"

namespace iris {

struct PageLimits {
  std::size_t bytes_max = 0;  // a row more may pass it
  std::size_t rows_max = 0;   // looked at, not only returned
};

struct StateItem {
  std::string source;
  std::optional<std::string> key;  // none: the whole source
  bool absent_only = false;        // of a key: its value came with the whole source
};
struct StateRequest {
  std::vector<StateItem> items;
  std::string start_after;       // in the first item, where that is a whole source
  std::uint64_t newer_than = 0;  // values with a revision up to this are left out
  bool tell_absent = false;      // a removal for each single key that is not there
};
struct StatePage {
  std::vector<UpdatePtr> rows;
  std::size_t items_done = 0;  // so many of the request's items are complete
  std::string last_key;        // where the next one is begun: up to here
};
[[nodiscard]] StatePage read_state(const store::View& view, const StateRequest& request,
                                   const PageLimits& limits);

struct TombstoneRequest {
  std::uint64_t revision = 0;                    // of the RemoveSource
  std::string start_after;                       // empty: from the first key
  std::optional<std::vector<std::string>> keys;  // only these, sorted; none: all
};
struct TombstonePage {
  bool purged = false;  // the store does not know any more
  bool complete = false;
  std::vector<UpdatePtr> rows;  // sorted by key
  std::string last_key;         // looked at up to here
};
[[nodiscard]] TombstonePage read_tombstone(const store::View& view, const TombstoneRequest& request,
                                           const PageLimits& limits);

}  // namespace iris
