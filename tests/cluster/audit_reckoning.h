// The reckoning at the end of iris-chaos audit. The updates of all streams together are the history
// of the sources; each stream must have seen its whole part of it, and the history must contain
// every acknowledged write. Main thread, after all others have ended.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "tests/cluster/audit.h"
#include "tests/cluster/audit_stream.h"

namespace iris::test::audit {

// Judges up to `revision`, which every stream must have reached. Adds lost updates to the counts of
// the streams. Returns one sentence for each update that two streams saw differently and each
// acknowledged value that was seen otherwise.
[[nodiscard]] std::vector<std::string> reckon(
    const std::vector<std::unique_ptr<AuditStream>>& streams, const std::vector<Stored>& stored,
    std::uint64_t revision);

}  // namespace iris::test::audit
