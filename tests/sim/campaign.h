// Campaign: many seeds in worker processes, so that a run that aborts takes only itself along.
// Owns the workers. Prints progress and the summary on stderr; tells the first failure with the
// command that replays it.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "tests/sim/options.h"

namespace iris::sim {

struct CampaignOptions {
  std::uint64_t first = 0;
  std::uint64_t seeds = 0;   // 0: until the time is over
  std::uint64_t time_s = 0;  // 0: until the seeds are through
  unsigned jobs = 1;
  bool keep_going = false;                  // do not stop at the first failure
  std::string replay;                       // what narrows the options, for the replay line
  std::function<void(SimOptions&)> narrow;  // the same
};

// True where every seed passed.
[[nodiscard]] bool run_campaign(const CampaignOptions& campaign);

// One run in a process of its own: empty where it passed, else what it said on stderr.
[[nodiscard]] std::string run_apart(const SimOptions& options);

// Looks for the least options with which the seed still fails in the same way, and prints them.
// False where it does not fail at all.
bool shrink(SimOptions options);

}  // namespace iris::sim
