// recover of the built iris: the address of the only member afterwards.
#include <string>
#include <vector>

#include "src/machine/command.h"
#include "tests/client/program.h"
#include "tests/store/fixture.h"

#include "tests/catch.h"  // last: its CHECK must not stand in for raft/check.h's

namespace iris {
namespace {

using store::test::entry;
using store::test::Opened;

// The address that the only member has after recover with these flags.
std::string address_after(const std::string& folder, const std::vector<std::string>& flags) {
  std::vector<std::string> words{IRIS, "recover", "-force-new-cluster", "-yes", "-raftdir", folder};
  words.insert(words.end(), flags.begin(), flags.end());
  const test::Ended ended = test::run(std::move(words));
  INFO(ended.err);
  REQUIRE(ended.code == 0);
  const Opened node(folder);
  const raft::Members& members = node.raft().floor.members;
  REQUIRE(members.voters.size() == 1);
  REQUIRE(members.voters[0].id == node.raft().self);
  return members.voters[0].address;
}

}  // namespace

TEST_CASE("a node that is recovered keeps the address it had, but for what the flags say") {
  const store::test::TempFolder folder;
  {
    Opened node(folder.raft());
    raft::Members members = store::test::members_of({1, 2});
    members.voters.push_back({node.raft().self, "old-host:4001"});
    raft::Members moved = members;
    moved.voters.back().address = "its-host:5001";
    node.await_durable(node.write(
        {entry(1, 1, members), entry(1, 2, moved),
         entry(1, 3,
               encode(SetValue{
                   .source = "colors", .key = "sky", .value = "blue", .if_revision = {}}))},
        raft::HardState{{1}, {1}}));
  }
  REQUIRE(address_after(folder.raft(), {}) == "its-host:5001");
  REQUIRE(address_after(folder.raft(), {"-port", "6000"}) == "its-host:6001");
  REQUIRE(address_after(folder.raft(), {"-advertise", "other"}) == "other:6001");
  REQUIRE(address_after(folder.raft(), {"-advertise", "::1", "-port", "7000"}) == "[::1]:7001");
  REQUIRE(address_after(folder.raft(), {}) == "[::1]:7001");
}

TEST_CASE("a node whose last configuration is without it is recovered at the usual address") {
  const store::test::TempFolder folder;
  {
    Opened node(folder.raft());
    node.await_durable(
        node.write({entry(1, 1, store::test::members_of({1, 2}))}, raft::HardState{{1}, {1}}));
  }
  REQUIRE(address_after(folder.raft(), {}) == "127.0.0.1:32001");
}

}  // namespace iris
