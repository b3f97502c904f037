// The reasons of gRPC in plain words (texts of gRPC 1.51, as seen).
#include "src/base/reason.h"
#include "tests/catch.h"

using iris::client::plain_reason;

TEST_CASE("the reason why a node cannot be reached is told without gRPC's wrapping") {
  const std::string all = "failed to connect to all addresses; last error: ";
  CHECK(plain_reason(all + "UNKNOWN: ipv4:127.0.0.1:1: Failed to connect to remote host: "
                           "Connection refused") == "Connection refused");
  CHECK(plain_reason(all + "UNKNOWN: ipv4:127.0.0.1:1: Ssl handshake failed: why") ==
        "Ssl handshake failed: why");
  CHECK(plain_reason(all + "UNKNOWN: ipv6:%5B::1%5D:1: No route to host") == "No route to host");
  CHECK(plain_reason(all + "UNAVAILABLE: ipv4:127.0.0.1:1: Socket closed") ==
        "it hung up at once: does it want TLS, or another certificate?");
  CHECK(plain_reason("DNS resolution failed for a.invalid:1: C-ares status is not ARES_SUCCESS "
                     "qtype=AAAA name=a.invalid is_balancer=0: Domain name not found") ==
        "its name is not resolved: Domain name not found");
  CHECK(plain_reason("DNS resolution failed") == "its name is not resolved");
  CHECK(plain_reason("something else") == "something else");
  CHECK(plain_reason("") == "cannot be reached");
}
