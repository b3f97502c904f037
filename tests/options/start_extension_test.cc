// More time from the service manager: asked for as long as work is seen, and no longer.
#include "src/server/start_extension.h"

#include <atomic>
#include <thread>

#include "tests/catch.h"

namespace iris {
namespace {

using namespace std::chrono_literals;

// A start whose work the test decides; each look of the extension at it is counted.
struct Start {
  std::atomic<std::uint64_t> work = 0;
  std::atomic<std::uint64_t> work_each_look = 0;
  std::atomic<int> looks = 0;
  std::atomic<int> extended = 0;

  StartExtensionHooks hooks() {
    return {.work =
                [this] {
                  const std::uint64_t now = work += work_each_look;
                  ++looks;
                  return now;
                },
            .extend = [this](std::chrono::seconds) { ++extended; }};
  }
  void await_looks(int more) const {
    for (const int end = looks + more; looks < end;) std::this_thread::yield();
  }
};

TEST_CASE("more time is asked for at once, and in each period in which the start worked") {
  Start start;
  start.work_each_look = 5;
  const StartExtension extension({.period = 1ms, .work_min = 5}, start.hooks());
  while (start.extended < 10) std::this_thread::yield();
  SUCCEED("ten times");
}

TEST_CASE("a start that hangs gets no more time, and again some once it works") {
  Start start;
  start.work_each_look = 4;  // what an idle process does
  const StartExtension extension({.period = 1ms, .work_min = 5}, start.hooks());
  start.await_looks(20);
  REQUIRE(start.extended == 1);  // that of the begin
  start.work_each_look = 5;
  while (start.extended < 3) std::this_thread::yield();
  start.work_each_look = 0;
  start.await_looks(2);  // the first of them may have had its work before
  const int before = start.extended;
  start.await_looks(20);
  REQUIRE(start.extended == before);
}

TEST_CASE("the end of a start does not wait for the period") {
  Start start;
  { const StartExtension extension({.period = 1h}, start.hooks()); }
  REQUIRE(start.extended <= 1);
}

TEST_CASE("the work of this process grows with what its threads compute") {
  const std::uint64_t before = work_of_process();
  std::thread busy([before] {
    while (work_of_process() < before + 5) {
    }
  });
  busy.join();
  REQUIRE(work_of_process() >= before + 5);
}

}  // namespace
}  // namespace iris
