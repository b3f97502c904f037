// The kernel's policy for the threads of a server.
#include "src/base/scheduling.h"

#include <sched.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <thread>
#include <utility>

#include "tests/catch.h"

namespace iris {
namespace {

constexpr std::uint64_t second_ns = 1'000'000'000;

// Spins for a window, so that the loop has been busy.
void work() {
  const auto end =
      std::chrono::steady_clock::now() + std::chrono::nanoseconds(Scheduling::window_ns);
  while (std::chrono::steady_clock::now() < end) {
  }
}

TEST_CASE("a loop becomes busy at one share of a processor and idle below another") {
  const auto percent = [](std::uint64_t share) { return second_ns / 100 * share; };
  REQUIRE(Scheduling::wants_batch(false, percent(Scheduling::busy_percent), second_ns));
  REQUIRE_FALSE(Scheduling::wants_batch(false, percent(Scheduling::busy_percent) - 1, second_ns));
  REQUIRE(Scheduling::wants_batch(true, percent(Scheduling::idle_percent), second_ns));
  REQUIRE_FALSE(Scheduling::wants_batch(true, percent(Scheduling::idle_percent) - 1, second_ns));
}

TEST_CASE("all threads are batch while the loop is busy, and a chosen policy is left alone") {
  // On threads of their own: a policy stays with its thread. Catch2 is for one thread only.
  std::atomic<bool> over = false;
  std::atomic<pid_t> other_id = 0;
  std::thread other([&] {
    other_id = gettid();
    other_id.notify_one();
    over.wait(false);
  });
  other_id.wait(0);
  const auto policies = [&other_id] {
    return std::pair(sched_getscheduler(0), sched_getscheduler(other_id));
  };
  std::pair<int, int> busy;
  std::pair<int, int> at_rest;
  std::thread([&] {
    Scheduling scheduling;
    scheduling.tick();  // begins a window
    for (int tries = 0; tries < 100 && policies().first != SCHED_BATCH; ++tries) {
      work();  // repeated: other programs may have had the processor
      scheduling.tick();
    }
    busy = policies();
    std::this_thread::sleep_for(std::chrono::nanoseconds(Scheduling::window_ns));  // is at rest
    scheduling.tick();
    at_rest = policies();
  }).join();
  int chosen = -1;
  std::thread([&] {
    const sched_param none{};
    if (sched_setscheduler(0, SCHED_IDLE, &none) != 0) return;
    Scheduling scheduling;
    work();
    scheduling.tick();
    chosen = sched_getscheduler(0);
  }).join();
  over = true;
  over.notify_one();
  other.join();
  REQUIRE(busy == std::pair(SCHED_BATCH, SCHED_BATCH));
  REQUIRE(at_rest == std::pair(SCHED_OTHER, SCHED_OTHER));
  REQUIRE(chosen == SCHED_IDLE);
}

}  // namespace
}  // namespace iris
