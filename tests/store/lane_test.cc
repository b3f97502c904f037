// The lane with a thread: order, batches and the end.
#include "store/lane.h"

#include <algorithm>
#include <vector>

#include "tests/store/fixture.h"

#include "tests/catch.h"  // last: its CHECK must not stand in for raft/check.h's

namespace iris::store::test {

TEST_CASE("a lane runs every job once, in order, and answers once a batch") {
  constexpr int count = 10'000;
  constexpr std::size_t batch_max = 7;
  Loop loop;
  std::vector<int> ran;
  std::vector<int> answered;
  std::size_t batches = 0;
  {
    Lane<int> lane("test", batch_max,
                   {[&](std::vector<int>& jobs, Answers& answers) {
                      REQUIRE(!jobs.empty());
                      REQUIRE(jobs.size() <= batch_max);
                      ++batches;
                      for (const int job : jobs) {
                        ran.push_back(job);
                        answers.emplace_back([&answered, job] { answered.push_back(job); });
                      }
                    },
                    [&](Answers answers) {
                      loop.post([answers = std::move(answers)] {
                        for (const auto& answer : answers) answer();
                      });
                    }});
    for (int i = 0; i < count; ++i) REQUIRE(lane.push(i));
    lane.stop();  // runs what is queued
    REQUIRE_FALSE(lane.push(0));
  }
  REQUIRE(loop.run_until([&] { return answered.size() == count; }));
  REQUIRE(ran == answered);
  REQUIRE(std::is_sorted(ran.begin(), ran.end()));
  REQUIRE(loop.posts() == batches);
}

}  // namespace iris::store::test
