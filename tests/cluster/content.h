// Content: all that a node holds, read through its lists, and compared without keeping it in
// memory. Any thread.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>

#include "tests/cluster/api.h"

namespace iris::test {

struct Compared {
  std::uint64_t rows = 0;
  std::string difference;  // the first one, as a sentence; empty: none

  [[nodiscard]] bool equal() const { return difference.empty(); }
};

// Every source, key, value and revision: `one` read linearizably, `other` from its own data, once
// that has what `one` had when it was asked. Nobody writes meanwhile, or they differ.
[[nodiscard]] Compared compare_content(const Api& one, const Api& other, Milliseconds limit);

// One source, read from the node's own data, against what it ought to be. Keys in `unclear` may
// hold anything, or not be there.
[[nodiscard]] Compared compare_source(const Api& api, const std::string& source,
                                      const std::map<std::string, std::string>& expected,
                                      const std::set<std::string>& unclear, Milliseconds limit);

}  // namespace iris::test
