// Listeners and calls on lines that take their time: what is slow is waited for, what is silent is
// left.
#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "src/client/client.h"
#include "tests/catch.h"
#include "tests/client/fake_iris.h"
#include "tests/client/slow_line.h"
#include "tests/client/told.h"

using iris::client::Listener;
using iris::test::FakeCluster;
using iris::test::FakeIris;
using iris::test::listen;
using iris::test::make_client;
using iris::test::MuteNode;
using iris::test::SlowLine;
using iris::test::Told;
using namespace std::chrono_literals;

TEST_CASE("a value that takes longer than three heartbeats to transfer arrives in the end") {
  constexpr auto heartbeat = 100ms;
  constexpr int bytes_per_s = 1'000'000;
  const std::string great(bytes_per_s * 6 * heartbeat / 1s, 'x');  // so, of six
  const auto cluster = std::make_shared<FakeCluster>();
  FakeIris node(cluster);
  const SlowLine line(node.port(), {.bytes_per_s = bytes_per_s});
  auto client = make_client({line.address()});
  Told told;
  SECTION("as a change, also where each stream begins with a small one") {
    const Listener listener = listen(client, told, {.heartbeat = heartbeat});
    REQUIRE(told.await_connected(1));
    cluster->set("s", "a", "1");
    REQUIRE(told.await(1));
    cluster->set("s", "great", great);
    REQUIRE(told.await(2));
    CHECK(told.updates().back() == "s/great=" + great + "@12");
    cluster->set("s", "b", "2");
    REQUIRE(told.await(3));
    CHECK(told.updates().back() == "s/b=2@13");
    CHECK(told.updates().size() == 3);
  }
  SECTION("as a part of the state, the small ones of which come anew each time") {
    cluster->set("s", "a", "1");
    cluster->set("s", "great", great);
    const Listener listener = listen(client, told, {.send_initial = true, .heartbeat = heartbeat});
    REQUIRE(told.await_update("synced@12"));
    const auto updates = told.updates();
    CHECK(*(updates.end() - 2) == "s/great=" + great + "@12");
    CHECK(*(updates.end() - 3) == "s/a=1@11");
  }
  CHECK_FALSE(told.lost().empty());
  for (const auto& lost : told.lost()) {
    CHECK(lost.text.find("said nothing for") != std::string::npos);
  }
}

TEST_CASE("a node that fell silent is left for one that is still connecting (hazard 94)") {
  const auto cluster = std::make_shared<FakeCluster>();
  MuteNode mute(cluster);
  FakeIris second(cluster);
  // Much longer than the pause after a failure, much shorter than connecting may take.
  const SlowLine line(second.port(), {.until_first = 300ms});
  auto client = make_client({mute.node.address(), line.address()});
  Told told;
  const Listener listener = listen(client, told, {.heartbeat = 100ms});
  CHECK(told.await_connected(1));
  mute.fall_silent();
  cluster->set("s", "a", "1");
  CHECK(told.await(1));
  CHECK(told.connected() == std::vector{mute.node.address(), line.address()});
  CHECK(told.lost().size() == 1);
  CHECK(mute.node.calls("Listen") == 1);
}
