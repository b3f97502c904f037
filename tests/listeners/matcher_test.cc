// The listeners that an update goes to.
#include "src/listeners/matcher.h"

#include <cstdint>
#include <optional>
#include <vector>

#include "tests/catch.h"

namespace iris::testing {
namespace {

TEST_CASE("an update matches subscriptions that are older than it, each listener once") {
  listening::Matcher matcher;
  const auto matched = [&](std::uint64_t revision) {
    std::vector<std::uint64_t> ids;
    matcher.match("s", "k", revision, [&](std::uint64_t id) { ids.push_back(id); });
    return ids;
  };
  using Ids = std::vector<std::uint64_t>;
  matcher.add(1, "s", std::nullopt, 5);
  matcher.add(2, "s", "k", 3);
  matcher.add(2, "s", std::nullopt, 5);
  matcher.add(3, "s", "other", 1);
  matcher.add(4, "t", std::nullopt, 1);
  CHECK(matched(3).empty());
  CHECK(matched(4) == Ids{2});
  CHECK(matched(5) == Ids{2});
  CHECK(matched(6) == Ids{1, 2});
  matcher.remove(2, "s", std::nullopt);
  CHECK(matched(6) == Ids{1, 2});
  matcher.remove(2, "s", "k");
  matcher.remove(1, "s", std::nullopt);
  matcher.remove(3, "s", "other");
  CHECK_FALSE(matcher.empty());
  matcher.remove(4, "t", std::nullopt);
  CHECK(matcher.empty());
}

}  // namespace
}  // namespace iris::testing
