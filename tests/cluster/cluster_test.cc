// Three real nodes on loopback.
#include <csignal>

#include "tests/catch.h"
#include "tests/cluster/ledger.h"
#include "tests/cluster/nodes.h"

namespace iris::test {

TEST_CASE("any node stores and returns, with TLS and without") {
  const bool tls = GENERATE(false, true);
  Nodes nodes({.count = 3, .tls = tls, .flags = {}});
  nodes.start_all();
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    const std::string key = "key" + std::to_string(i);
    REQUIRE(nodes.api(i).set("colors", key, "value", Milliseconds(5000)).answer == CallAnswer::ok);
    for (std::size_t j = 0; j < nodes.size(); ++j) {
      const auto read = nodes.api(j).get("colors", key, Milliseconds(5000));
      INFO("written through " << i << ", read through " << j << ": " << read.text);
      REQUIRE(read.ok);
      REQUIRE(read.found);
      REQUIRE(read.value == "value");
    }
  }
  for (std::size_t j = 0; j < nodes.size(); ++j) {
    const auto listing = nodes.api(j).list("colors", Milliseconds(5000));
    REQUIRE(listing.ok);
    REQUIRE(listing.rows.size() == 3);
  }
}

TEST_CASE("the leader is killed under load and nothing acknowledged is lost (hazards 42, 80)") {
  Nodes nodes({});
  nodes.start_all();
  Ledger ledger(nodes, {});
  ledger.start();
  REQUIRE(ledger.await_progress(200, Milliseconds(20000)));
  const std::size_t leader = nodes.await_leader();
  nodes.kill(leader);
  REQUIRE(ledger.await_progress(200, Milliseconds(20000)));
  nodes.start(leader);
  REQUIRE(ledger.await_progress(200, Milliseconds(20000)));
  ledger.stop();
  for (std::size_t i = 0; i < nodes.size(); ++i)
    ledger.check_final(nodes.api(i), "node " + std::to_string(i));
  REQUIRE(ledger.violations() == std::vector<std::string>{});
}

TEST_CASE(
    "all nodes are killed at once under load, restarted with the same flags, and go on (hazard "
    "19)") {
  Nodes nodes({});
  nodes.start_all();
  Ledger ledger(nodes, {});
  ledger.start();
  REQUIRE(ledger.await_progress(300, Milliseconds(20000)));
  for (std::size_t i = 0; i < nodes.size(); ++i) nodes.kill(i);
  for (std::size_t i = nodes.size(); i-- > 0;) nodes.start(i);
  REQUIRE(ledger.await_progress(300, Milliseconds(30000)));
  ledger.stop();
  for (std::size_t i = 0; i < nodes.size(); ++i)
    ledger.check_final(nodes.api(i), "node " + std::to_string(i));
  REQUIRE(ledger.violations() == std::vector<std::string>{});
}

TEST_CASE("a node with an emptied folder joins again as a new member (hazard 50)") {
  Nodes nodes({});
  nodes.start_all();
  REQUIRE(nodes.api(0).set("colors", "sky", "blue", Milliseconds(5000)).answer == CallAnswer::ok);
  pb::StatusResponse before;
  REQUIRE(nodes.api(2).status(before, Milliseconds(5000)));
  nodes.kill(2);
  nodes.wipe(2);
  nodes.start(2);
  pb::MembersResponse members;
  const bool replaced = await(Milliseconds(30000), [&] {
    if (!nodes.api(0).members(members, Milliseconds(1000)) || members.members_size() != 3)
      return false;
    for (const auto& member : members.members()) {
      if (!member.voter() || member.leaving() || member.id() == before.id()) return false;
    }
    return true;
  });
  INFO(members.DebugString());
  REQUIRE(replaced);
  // The new node counts: with another node dead, the two still serve.
  nodes.kill(1);
  REQUIRE(await(Milliseconds(20000), [&] {
    return nodes.api(2).set("colors", "sea", "green", Milliseconds(5000)).answer == CallAnswer::ok;
  }));
  REQUIRE(nodes.api(2).get("colors", "sky", Milliseconds(5000)).value == "blue");
}

TEST_CASE("SIGTERM ends a node with exit code 0 and loses nothing (hazard 117)") {
  Nodes nodes({});
  nodes.start_all();
  Ledger ledger(nodes, {});
  ledger.start();
  REQUIRE(ledger.await_progress(100, Milliseconds(20000)));
  const std::size_t leader = nodes.await_leader();
  REQUIRE(nodes.stop(leader) == 0);
  REQUIRE(ledger.await_progress(100, Milliseconds(20000)));
  nodes.start(leader);
  REQUIRE(ledger.await_progress(100, Milliseconds(20000)));
  ledger.stop();
  for (std::size_t i = 0; i < nodes.size(); ++i)
    ledger.check_final(nodes.api(i), "node " + std::to_string(i));
  REQUIRE(ledger.violations() == std::vector<std::string>{});
}

}  // namespace iris::test
