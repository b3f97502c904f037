// Names of hosts, each on a thread of its own.
#include "src/peers/name_lookup.h"

#include <atomic>
#include <chrono>
#include <thread>

#include "src/peers/peers.h"
#include "tests/catch.h"
#include "tests/peers/harness.h"

namespace iris {
namespace {

TEST_CASE("a name that no server knows of delays no other name") {
  asio::io_context io;
  std::atomic<bool> over = false;
  std::atomic<int> dead = 0;
  std::atomic<bool> left = false;
  {
    NameLookup names(io, [&](const std::string& host) -> NameLookup::Addresses {
      if (host != "dead") return std::vector{asio::ip::make_address("192.0.2.1")};
      ++dead;
      over.wait(false);
      left = true;
      left.notify_one();
      return fail(Errc::io, "no answer");
    });
    int answers = 0;
    for (int i = 0; i < 100; ++i) {
      static_cast<void>(names.start("dead", [&](const NameLookup::Addresses&) { ++answers; }));
    }
    const auto cancelled =
        names.start("alive", [&](const NameLookup::Addresses&) { answers += 10; });
    static_cast<void>(names.start("alive", [&](const NameLookup::Addresses& found) {
      CHECK(found);
      answers += 100;
    }));
    names.cancel(cancelled);
    const auto end = Clock::now() + std::chrono::seconds(20);
    while (answers < 100 && Clock::now() < end) {
      io.restart();
      io.run_for(milliseconds(20));
    }
    CHECK(answers == 100);
    for (int tries = 0; dead == 0 && tries < 1'000; ++tries)
      std::this_thread::sleep_for(milliseconds(10));
    CHECK(dead == 1);
  }
  over = true;
  over.notify_all();
  left.wait(false);
}

}  // namespace
}  // namespace iris
