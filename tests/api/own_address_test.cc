// What a node calls itself where nobody said it (src/own_address.h).
#include "src/own_address.h"

#include "tests/catch.h"

namespace iris {
namespace {

// An address for documentation, which no machine has.
constexpr char elsewhere[] = "192.0.2.7:32001";

OwnAddressHints hints() {
  OwnAddressHints made;
  made.otherwise = "127.0.0.1";
  return made;
}

TEST_CASE("what the operator says comes first") {
  OwnAddressHints all = hints();
  all.advertise = "a.example";
  all.listen = "10.0.0.1";
  all.recorded = elsewhere;
  all.towards = {"127.0.0.1:1"};
  REQUIRE(own_raft_address(all, 32001) == "a.example:32001");
  all.advertise = "2001:db8::1";
  REQUIRE(own_raft_address(all, 32001) == "[2001:db8::1]:32001");
  all.advertise.clear();
  REQUIRE(own_raft_address(all, 32001) == "10.0.0.1:32001");
}

TEST_CASE("a host to listen on that means every interface says nothing") {
  OwnAddressHints all = hints();
  for (const char* host : {"0.0.0.0", "::"}) {
    all.listen = host;
    REQUIRE(own_raft_address(all, 5) == "127.0.0.1:5");
  }
}

TEST_CASE("what the members know stays, while it is this machine's, with the port of today") {
  OwnAddressHints all = hints();
  all.recorded = "127.0.0.2:40001";
  REQUIRE(own_raft_address(all, 32001) == "127.0.0.2:32001");
  all.recorded = "name.example:40001";  // whose it is, is the resolver's to say
  REQUIRE(own_raft_address(all, 32001) == "name.example:32001");
}

TEST_CASE("an address this machine does not have any more is replaced where a way is known") {
  OwnAddressHints all = hints();
  all.recorded = elsewhere;
  REQUIRE(own_raft_address(all, 32001) == "192.0.2.7:32001");  // nothing better is known
  all.towards = {"no port", "127.0.0.3:7"};
  REQUIRE(own_raft_address(all, 32001) == "127.0.0.1:32001");  // from here one goes there
}

TEST_CASE("the way to a target names the address on it") {
  const auto source = source_address({"127.0.0.1", 32000});
  REQUIRE(source);
  REQUIRE(*source == "127.0.0.1");
  REQUIRE(!source_address({"does.not.exist.invalid", 32000}));
}

TEST_CASE("addresses of this machine and of its loopback are known") {
  REQUIRE(is_local_address("127.0.0.1"));
  REQUIRE_FALSE(is_local_address("192.0.2.7"));
  REQUIRE_FALSE(is_local_address("localhost"));  // a name, not an address
  REQUIRE(is_loopback("127.0.0.1"));
  REQUIRE(is_loopback("127.1.2.3"));
  REQUIRE(is_loopback("::1"));
  REQUIRE(is_loopback("localhost"));
  REQUIRE_FALSE(is_loopback("10.0.0.1"));
  REQUIRE_FALSE(is_loopback("128.0.0.1"));
  REQUIRE_FALSE(is_loopback(""));
}

}  // namespace
}  // namespace iris
