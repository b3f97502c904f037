// iris-bench watch: listeners and a writer in one process, so that one clock times an update from
// when it was due to be written to when it arrived, and one ledger knows what every listener must
// have got. Streams that break go on at another connection, as the client library does it.
// Main thread; the listeners have -threads of their own, the writer two. Borrows the connections.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "src/bench/connections.h"
#include "src/bench/histogram.h"
#include "src/bench/load.h"
#include "src/bench/options.h"

namespace iris::bench {

// The writes to one source by the number they carry: the revision of the acknowledgement, 0 where
// the outcome is unknown. One thread writes; others read when it is done.
using Ledger = std::vector<std::uint64_t>;

struct WatchResult {
  double seconds = 0;                                     // that were measured
  std::uint64_t written = 0;                              // acknowledged, all in all
  std::array<std::atomic<std::uint64_t>, codes> ended{};  // writes, by code
  std::uint64_t delivered = 0;                            // while it was measured
  std::uint64_t delivered_all = 0;
  std::uint64_t lost = 0;        // acknowledged and never delivered, nor covered by a resync
  std::uint64_t duplicated = 0;  // delivered twice
  std::uint64_t reordered = 0;   // came with a revision that was not above the one before
  std::uint64_t resyncs = 0;
  std::uint64_t reconnects = 0;
  Histogram writes;      // ns, due to acknowledged
  Histogram deliveries;  // ns, due to delivered
  bool interrupted = false;
};

// Errc::unavailable: the listeners could not be set up; says why. `stop` ends it early.
[[nodiscard]] Result<std::unique_ptr<WatchResult>> run_watch(const Options& options,
                                                             std::vector<Connection>& connections,
                                                             const std::atomic<bool>& stop);

}  // namespace iris::bench
