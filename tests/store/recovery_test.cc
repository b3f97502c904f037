// The verdict on log and data, whatever entries they end with.
#include "store/recovery.h"

#include <string>
#include <utility>
#include <vector>

#include "tests/store/fixture.h"

#include "tests/catch.h"  // last: its CHECK must not stand in for raft/check.h's

namespace iris::store::test {

TEST_CASE("log and data agree only where the log holds the applied entry (60, 70, 100)") {
  LogFound log;
  log.floor = mark(1, 10);
  for (std::uint64_t i = 11; i <= 14; ++i) log.entries.push_back(entry(i < 13 ? 1 : 2, i));
  const auto verdict = [&](std::uint64_t term, std::uint64_t index) {
    return reconcile(log, mark(term, index));
  };
  for (const std::uint64_t index : {10, 11, 12}) REQUIRE(*verdict(1, index) == Verdict::agree);
  for (const std::uint64_t index : {13, 14}) REQUIRE(*verdict(2, index) == Verdict::agree);
  const std::vector<std::pair<std::uint64_t, std::uint64_t>> others{{1, 9},  {2, 10}, {2, 12},
                                                                    {1, 13}, {3, 14}, {2, 15}};
  for (const auto& [term, index] : others) {
    const Result<Verdict> refused = verdict(term, index);
    REQUIRE_FALSE(refused.has_value());
    REQUIRE(refused.error().code == Errc::corrupt);
    REQUIRE(refused.error().text.find("entry " + std::to_string(index)) != std::string::npos);
  }
  log.install = {mark(3, 30), {}};
  REQUIRE(*verdict(3, 30) == Verdict::finish_install);
  REQUIRE(*verdict(1, 12) == Verdict::forget_install);
  REQUIRE_FALSE(verdict(3, 29).has_value());
  LogFound empty;
  REQUIRE(*reconcile(empty, {}) == Verdict::agree);
}

}  // namespace iris::store::test
