// The remembered fronts of rows always agree with the rows, whatever is forgotten.
#include <algorithm>
#include <map>
#include <random>
#include <string>

#include "tests/store/fixture.h"

#include "tests/catch.h"  // last: its CHECK must not stand in for raft/check.h's

namespace iris::store::test {
namespace {

constexpr std::size_t limit = Batch::front_bytes_max;

std::string front_of(const Batch& batch, const std::string& key) {
  std::string front = "left over";
  return batch.front(Table::values, key, front) == Found::yes ? front : "absent";
}

std::string value_of(const Batch& batch, const std::string& key) {
  std::string value = "left over";
  return batch.get(Table::values, key, value) == Found::yes ? value : "absent";
}

}  // namespace

TEST_CASE("the front of a row is all of it up to the limit, and its beginning above") {
  const TempFolder folder;
  Opened node(folder.raft());
  const std::size_t size = GENERATE(std::size_t{0}, limit - 1, limit, limit + 1, std::size_t{5000});
  const std::string value = std::string(size, 'v');
  const std::string front = value.substr(0, limit);
  node.apply(1, 1, [&](Batch& batch) {
    REQUIRE(front_of(batch, "key") == "absent");
    batch.put(Table::values, "key", value);
    REQUIRE(front_of(batch, "key") == front);  // of the open batch
  });
  node.await_applied(1);
  for (std::uint64_t index = 2; index < 4; ++index) {
    node.apply(1, index, [&](Batch& batch) {
      REQUIRE(front_of(batch, "key") == front);  // remembered
      REQUIRE(value_of(batch, "key") == value);
    });
    node.await_applied(index);
  }
}

TEST_CASE("fronts agree with the rows through overwriting, removal, prefixes and forgetting") {
  const TempFolder folder;
  // Memory for no row, for about ten, or for all: forgetting must not show.
  const std::size_t memory = GENERATE(std::size_t{0}, std::size_t{1} << 10, std::size_t{1} << 20);
  Opened node(folder.raft(),
              [memory](RocksOptions& options) { options.row_memory_bytes = memory; });
  std::mt19937 dice(7);
  std::map<std::string, std::string> truth;
  const auto key = [&dice] {
    return std::string(1, static_cast<char>('a' + dice() % 3)) + std::to_string(dice() % 20);
  };
  for (std::uint64_t index = 1; index <= 300; ++index) {
    node.apply(1, index, [&](Batch& batch) {
      for (int step = 0; step < 8; ++step) {
        const std::string one = key();
        const auto found = truth.find(one);
        const std::string value = found == truth.end() ? "absent" : found->second;
        REQUIRE(front_of(batch, one) == value.substr(0, limit));
        REQUIRE(value_of(batch, one) == value);
        if (dice() % 3 == 0) {
          batch.remove(Table::values, one);
          truth.erase(one);
        } else if (dice() % 3 == 0) {
          truth[one] = std::to_string(dice()) + std::string(dice() % 40, 'x');
          batch.put(Table::values, one, truth[one]);
        }
      }
      if (index % 10 == 0) {  // last in the job: no put() may follow under the prefix
        batch.remove_prefix(Table::values, "a");
        truth.erase(truth.lower_bound("a"), truth.lower_bound("b"));
      }
    });
    node.await_applied(index);
  }
  REQUIRE(std::count_if(truth.begin(), truth.end(),
                        [](const auto& row) { return row.second.size() > limit; }) > 5);
}

}  // namespace iris::store::test
