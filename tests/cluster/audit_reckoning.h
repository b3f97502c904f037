// The reckoning at the end of iris-chaos audit: what all streams saw together is the history of the
// sources; each stream must have seen all of its part, and the history must have all that was
// acknowledged. Main thread, when nothing runs any more.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "tests/cluster/audit.h"
#include "tests/cluster/audit_stream.h"

namespace iris::test::audit {

// Up to `revision`, which every stream must have reached. Adds what is lost to the counts of the
// streams. Returns what two streams saw differently, and acknowledged values that were seen
// otherwise, one sentence each.
[[nodiscard]] std::vector<std::string> reckon(const std::vector<std::unique_ptr<Stream>>& streams,
                                              const std::vector<Stored>& stored,
                                              std::uint64_t revision);

}  // namespace iris::test::audit
