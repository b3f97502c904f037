// StateCursor: how far the rows of a state have been read, in the order of Filter::sources(), of
// each source first the whole source, then its single keys.
// A plain value. The filter may change between two pages: a subscription that ended is passed over,
// and what it leaves wanted is still read.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "src/listeners/filter.h"
#include "src/listeners/pages.h"

namespace iris::listening {

class StateCursor {
 public:
  // The next items, of subscriptions made up to `revision`; empty: the state is complete.
  // `every_key`: single keys are asked for even where the whole source was read, so that those that
  // are absent get a removal.
  [[nodiscard]] std::vector<StateItem> next(const Filter& filter, std::uint64_t revision,
                                            bool every_key) const;
  // StateRequest::start_after for `items`, which next() returned.
  [[nodiscard]] std::string start_after(const std::vector<StateItem>& items) const;
  // REQUIRES: `page` answers `items`, which next() returned.
  void advance(const std::vector<StateItem>& items, const StatePage& page);

 private:
  std::string source_;   // empty: nothing is read yet
  std::string key_;      // complete up to here,
  bool inside_ = false;  // of the source as a whole; else of its single keys,
  bool whole_ = false;   // which follow the source as a whole
  // Of a source as a whole that was unsubscribed while it was read: values up to here were sent.
  std::string sent_;
};

}  // namespace iris::listening
