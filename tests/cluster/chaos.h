// Chaos: arguments, results and helpers of all kinds of rounds of iris-chaos. Main thread only.
#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "src/client/client.h"
#include "tests/cluster/ledger.h"

namespace iris::test {

struct Arguments {
  std::string kind;
  std::size_t rounds = 1;
  std::uint64_t seed = std::random_device{}();
  bool tls = false;
  std::size_t megabytes = 32;      // of catchup and backup: data written
  std::size_t nodes = 3;           // audit, mixed
  std::uint64_t seconds = 600;     // audit; slow-reader, sessions: of each of the two runs
  std::uint32_t rate = 2'000;      // audit: writes a second
  std::uint64_t keys = 1'000'000;  // remove-source
  std::uint64_t sessions = 10'000;
  std::uint64_t sources = 1'000;  // sessions
  std::string history;            // check: the file; mixed: where it is kept; empty: nowhere
};

struct Tally {
  std::size_t passed = 0;
  std::size_t failed = 0;
};

void report(const Ledger& ledger);
void print_times(const char* what, std::vector<double> times_ms);
// The value at or below which this share of the sorted times lies.
[[nodiscard]] double quantile(const std::vector<double>& times_ms, double share);
[[nodiscard]] double since(Clock::time_point start);  // in ms

// A client library's client; the addresses are tried in their order.
[[nodiscard]] Client make_client(const Nodes& nodes, std::vector<std::string> addresses);

// chaos_kill.cc: nodes killed or stopped under load.
Tally kill_rounds(const Arguments& arguments);
Tally pause_rounds(const Arguments& arguments);
Tally failover_rounds(const Arguments& arguments);
// chaos_members.cc: membership and restarts under load.
Tally members_rounds(const Arguments& arguments);
Tally rolling_rounds(const Arguments& arguments);
// chaos_catchup.cc: a follower far behind comes back.
Tally catchup_rounds(const Arguments& arguments);
// chaos_backup.cc: backup under load, restore, flipped bits.
Tally backup_rounds(const Arguments& arguments);
// chaos_disk.cc: full, lying and damaged disks. Skipped where nothing can be mounted (needs root).
Tally disk_rounds(const Arguments& arguments);

// False: prints `otherwise` as a violation.
bool expect(bool holds, const std::string& otherwise);

// chaos_audit.cc: a hundred listeners through every fault.
Tally audit_rounds(const Arguments& arguments);

// chaos_mixed.cc: random calls through every fault, judged by two checkers; a file of such a
// history.
Tally mixed_rounds(const Arguments& arguments);
Tally check_file(const Arguments& arguments);

// chaos_listener_failover.cc: death of a listener's node.
Tally listener_failover_rounds(const Arguments& arguments);
// chaos_remove_source.cc: removal of a source with many keys.
Tally remove_source_rounds(const Arguments& arguments);

// chaos_watch.cc: cost of many listeners, and of one that never reads.
Tally slow_reader_rounds(const Arguments& arguments);
Tally sessions_rounds(const Arguments& arguments);

}  // namespace iris::test
