// Content: all that a node holds, read through its lists, and compared without keeping it in
// memory. Any thread.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>

#include "tests/cluster/node_api.h"

namespace iris::test {

struct Compared {
  std::uint64_t rows = 0;
  std::string difference;  // the first one, as a sentence; empty: none

  [[nodiscard]] bool equal() const { return difference.empty(); }
};

// Compares every source, key, value and revision: `one` by linearizable reads, `other` by stale
// ones at least as new. Writes meanwhile would make a difference.
[[nodiscard]] Compared compare_content(const NodeApi& one, const NodeApi& other,
                                       Milliseconds limit);

// Compares one source, by stale reads, with its expected rows. Keys in `unclear` may have any value
// or none.
[[nodiscard]] Compared compare_source(const NodeApi& api, const std::string& source,
                                      const std::map<std::string, std::string>& expected,
                                      const std::set<std::string>& unclear, Milliseconds limit);

}  // namespace iris::test
