// Run: one seed from its beginning to its verdict, in four phases: anything may happen (safety);
// a quorum is healed and must make progress while the rest stays broken (liveness); everything is
// healed and must agree (convergence); all processes are killed and must agree again (restart).
// A run that returns has found nothing; a violation ends the process (report.h).
#pragma once

#include <cstdint>

#include "tests/sim/options.h"
#include "tests/sim/stats.h"

namespace iris::sim {

struct Verdict {
  Stats stats;
  std::uint64_t hash = 0;  // of everything that happened, in order (invariant DET)
};

[[nodiscard]] Verdict run(const SimOptions& options, bool trace);

}  // namespace iris::sim
