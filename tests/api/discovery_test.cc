// src/discovery/discovery.h: when the answers of Stela suffice to found a cluster, and the entry
// that a node registers there.
#include "src/discovery/discovery.h"

#include <chrono>
#include <set>
#include <string>

#include "src/net/own_address.h"
#include "tests/catch.h"

namespace iris {
namespace {

using namespace std::chrono_literals;

constexpr auto just_under = discovery_quiet - 1ms;

// A Stela that answers every second, or when the test says.
struct Answers {
  bool at(std::chrono::milliseconds time, const std::set<std::string>& nodes = {}) {
    return steady.holds(nodes, SteadyAnswer::Clock::time_point(time));
  }
  // True: it never held.
  bool each_second_until(std::chrono::milliseconds end, const std::set<std::string>& nodes = {}) {
    for (auto time = now; time < end; time += 1'000ms) {
      if (at(time, nodes)) return false;
      now = time;
    }
    return true;
  }
  SteadyAnswer steady;
  std::chrono::milliseconds now{0};
};

TEST_CASE("an answer holds once it has been the same for the quiet time, not before") {
  Answers answers;
  REQUIRE(answers.each_second_until(discovery_quiet));
  REQUIRE_FALSE(answers.at(just_under));
  REQUIRE(answers.at(discovery_quiet));
  REQUIRE(answers.at(discovery_quiet + 1'000ms));
}

TEST_CASE("other nodes, a Stela that was not reached, or a gap begin the quiet time anew") {
  Answers answers;
  REQUIRE(answers.each_second_until(discovery_quiet));
  SECTION("other nodes") {
    REQUIRE_FALSE(answers.at(discovery_quiet, {"a"}));
    REQUIRE_FALSE(answers.at(discovery_quiet + 1ms));
  }
  SECTION("not reached") {
    answers.steady.forget();
    REQUIRE_FALSE(answers.at(discovery_quiet));
  }
  SECTION("a gap") {
    const auto late = answers.now + discovery_gap_max + 1ms;
    REQUIRE_FALSE(answers.at(late));
    answers.now = late;
    REQUIRE(answers.each_second_until(late + discovery_quiet));
    REQUIRE(answers.at(late + discovery_quiet));
  }
}

TEST_CASE("an answer that comes as late as is allowed is no gap") {
  Answers answers;
  REQUIRE_FALSE(answers.at(0ms));
  REQUIRE_FALSE(answers.at(discovery_gap_max));
  REQUIRE(answers.at(2 * discovery_gap_max));
}

TEST_CASE("a node registers an address that IPv4 clients can dial, where it has one") {
  DiscoveryOptions options;
  options.port = 32000;
  SECTION("an address of IPv4") {
    options.own_host = "192.0.2.7";
    const StelaService own = own_service(options);
    REQUIRE(own.ipv4 == "192.0.2.7");
    REQUIRE(own.ipv6.empty());
    REQUIRE_FALSE(own.hostname.empty());
    REQUIRE(own.port == 32000);
  }
  SECTION("an address of IPv6, listening everywhere") {
    options.own_host = "2001:db8::7";
    const StelaService own = own_service(options);
    REQUIRE(own.ipv6 == "2001:db8::7");
    const std::string other = Stela::own_ipv4_address();
    REQUIRE(own.ipv4 == (is_loopback(other) ? "" : other));
  }
  SECTION("an address of IPv6, listening nowhere else") {
    options.own_host = options.listen = "::1";
    const StelaService own = own_service(options);
    REQUIRE(own.ipv6 == "::1");
    REQUIRE(own.ipv4.empty());
  }
  SECTION("a name") {
    options.own_host = "localhost";
    const StelaService own = own_service(options);
    REQUIRE(own.hostname == "localhost");
    REQUIRE(own.ipv4 == "127.0.0.1");
    REQUIRE(own.ipv6.empty());
  }
  SECTION("a name that is not resolved here") {
    options.own_host = "does.not.exist.invalid";
    const StelaService own = own_service(options);
    REQUIRE(own.hostname == "does.not.exist.invalid");
    REQUIRE(own.ipv4 == Stela::own_ipv4_address());
  }
}

}  // namespace
}  // namespace iris
