// What the kinds of rounds of iris-chaos share. Main thread only.
#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "tests/cluster/ledger.h"

namespace iris::test {

struct Arguments {
  std::string kind;
  std::size_t rounds = 1;
  std::uint64_t seed = std::random_device{}();
  bool tls = false;
  std::size_t megabytes = 32;  // of catchup and backup: data written
};

struct Tally {
  std::size_t passed = 0;
  std::size_t failed = 0;
};

void report(const Ledger& ledger);
void print_times(const char* what, std::vector<double> times_ms);

// chaos_members.cc: membership and restarts under load.
Tally members_rounds(const Arguments& arguments);
Tally rolling_rounds(const Arguments& arguments);
// chaos_catchup.cc: a follower far behind comes back.
Tally catchup_rounds(const Arguments& arguments);
// chaos_backup.cc: backup under load, restore, flipped bits.
Tally backup_rounds(const Arguments& arguments);
// chaos_disk.cc: full, lying and damaged disks. Needs root, to mount; else it says so.
Tally disk_rounds(const Arguments& arguments);

// True: as it should be. False: says what is not, as a violation.
bool expect(bool holds, const std::string& otherwise);

}  // namespace iris::test
