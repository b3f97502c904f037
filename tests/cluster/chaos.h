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

}  // namespace iris::test
