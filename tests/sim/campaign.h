// Campaign: many seeds in worker processes, so that a run that aborts ends only its own process.
// Owns the workers. Prints progress, the summary, and the first failure with the command that
// replays it, on stderr.
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
  std::string replay;                       // the arguments that narrow the options
  std::function<void(SimOptions&)> narrow;  // applies them
};

// True where every seed passed.
[[nodiscard]] bool run_campaign(const CampaignOptions& campaign);

// One run in a process of its own: empty where it passed, else its stderr.
[[nodiscard]] std::string run_apart(const SimOptions& options);

// Looks for the least options with which the seed still fails in the same way, and prints them.
// False where it does not fail at all.
bool shrink(SimOptions options);

}  // namespace iris::sim
