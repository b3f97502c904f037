// Work that may wait for a disk (src/net/background.h).
#include "src/net/background.h"

#include <asio/executor_work_guard.hpp>
#include <asio/io_context.hpp>
#include <chrono>
#include <future>
#include <memory>
#include <thread>
#include <utility>

#include "src/base/disk_wait.h"

#include "tests/catch.h"  // last: its CHECK must not stand in for raft/check.h's

namespace iris {
namespace {

constexpr std::chrono::seconds patience{20};

TEST_CASE(
    "work runs beside the loop, which may not wait for a disk, and the loop hears of its end") {
  asio::io_context loop;
  const auto guard = asio::make_work_guard(loop);
  Background background(loop);
  const LoopTurn turn;
  std::thread::id worker;
  std::promise<void> open;
  bool done = false;
  REQUIRE(background.run(
      [&, gate = open.get_future().share()] {
        gate.wait();
        may_wait_for_disk();
        worker = std::this_thread::get_id();
      },
      [&] {
        done = true;
        loop.stop();
      }));
  REQUIRE(loop.poll() == 0);  // run() has not waited for it
  open.set_value();
  loop.run_for(patience);
  REQUIRE(done);
  REQUIRE(worker != std::this_thread::get_id());
}

TEST_CASE("nobody hears of work whose owner is gone") {
  asio::io_context loop;
  auto background = std::make_unique<Background>(loop);
  std::promise<void> open;
  std::promise<void> ended;
  std::future<void> end = ended.get_future();
  // The thread lets go of the work at its very end.
  const auto tell = [&ended](const int* held) {
    delete held;
    ended.set_value();
  };
  REQUIRE(background->run([gate = open.get_future().share(),
                           held = std::shared_ptr<int>(new int(0), tell)] { gate.wait(); },
                          [] { FAIL("the owner is gone"); }));
  background.reset();
  open.set_value();
  REQUIRE(end.wait_for(patience) == std::future_status::ready);
  REQUIRE(loop.poll() == 0);
}

}  // namespace
}  // namespace iris
