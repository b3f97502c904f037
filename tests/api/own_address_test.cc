// The address that a node gives itself without a flag (src/net/own_address.h), and the check that
// it can listen there (src/net/bind_check.h).
#include "src/net/own_address.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <memory>

#include "src/net/bind_check.h"
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

TEST_CASE("the operator's address comes first") {
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

TEST_CASE("a -listen host that means every interface gives no address") {
  OwnAddressHints all = hints();
  for (const char* host : {"0.0.0.0", "0", "::", "::0", "0:0:0:0:0:0:0:0"}) {
    all.listen = host;
    REQUIRE(own_raft_address(all, 5) == "127.0.0.1:5");
  }
}

TEST_CASE("an address with an interface is one to listen on, but nobody else's to dial") {
  OwnAddressHints all = hints();
  all.listen = "fe80::1%eth0";
  REQUIRE(own_raft_address(all, 5) == "127.0.0.1:5");
  all.advertise = "a.example";
  REQUIRE(own_raft_address(all, 5) == "a.example:5");
}

TEST_CASE("the recorded address stays while it is this machine's, with today's port") {
  OwnAddressHints all = hints();
  all.recorded = "127.0.0.2:40001";
  REQUIRE(own_raft_address(all, 32001) == "127.0.0.2:32001");
  all.recorded = "name.example:40001";  // the resolver decides whose it is
  REQUIRE(own_raft_address(all, 32001) == "name.example:32001");
}

TEST_CASE("an address this machine does not have any more is replaced where a way is known") {
  OwnAddressHints all = hints();
  all.recorded = elsewhere;
  REQUIRE(own_raft_address(all, 32001) == "192.0.2.7:32001");  // no better one is known
  all.towards = {"no port", "127.0.0.3:7"};
  REQUIRE(own_raft_address(all, 32001) ==
          "127.0.0.1:32001");  // the source address of connections to that host
}

TEST_CASE("only a host that means every interface is a wildcard") {
  for (const char* host : {"", "127.0.0.1", "::1", "localhost", "0.example", "example"}) {
    CAPTURE(host);
    REQUIRE_FALSE(is_wildcard(host));
  }
}

TEST_CASE("a link-local address is not told to others") {
  sockaddr_in6 address{};
  address.sin6_family = AF_INET6;
  const auto dialled = [&](const char* text, std::uint32_t scope) {
    REQUIRE(::inet_pton(AF_INET6, text, &address.sin6_addr) == 1);
    address.sin6_scope_id = scope;
    return dialled_host(reinterpret_cast<const sockaddr*>(&address), sizeof address);
  };
  REQUIRE_FALSE(dialled("fe80::1", 1));
  REQUIRE(dialled("2001:db8::1", 0) == "2001:db8::1");
}

TEST_CASE("a name stands for its IPv4 addresses, as far as it has some") {
  REQUIRE(ipv4_addresses("localhost") == std::vector<std::string>{"127.0.0.1"});
  REQUIRE(ipv4_addresses("does.not.exist.invalid").empty());
  REQUIRE(ipv4_addresses("2001:db8::1").empty());
}

// The addresses of a name, as a resolver would give them.
class Addresses {
 public:
  Addresses(std::initializer_list<const char*> hosts, std::uint16_t port) {
    addrinfo** end = &first_;
    for (const char* host : hosts) {
      addrinfo hints{};
      hints.ai_socktype = SOCK_STREAM;
      hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
      REQUIRE(::getaddrinfo(host, std::to_string(port).c_str(), &hints, end) == 0);
      end = &(*end)->ai_next;
    }
  }
  ~Addresses() { ::freeaddrinfo(first_); }
  Addresses(const Addresses&) = delete;
  Addresses& operator=(const Addresses&) = delete;
  [[nodiscard]] Status can_bind(std::uint16_t port) const {
    return check_can_bind(first_, "name.example", port);
  }

 private:
  addrinfo* first_ = nullptr;
};

TEST_CASE("an address of a name that this machine lacks is passed over where another is left") {
  REQUIRE(Addresses({"192.0.2.7", "127.0.0.1"}, 0).can_bind(0));
  REQUIRE(Addresses({"127.0.0.1", "192.0.2.7"}, 0).can_bind(0));
  const Status lacks = Addresses({"192.0.2.7"}, 0).can_bind(0);
  REQUIRE_FALSE(lacks);
  REQUIRE(lacks.error().text.starts_with("cannot listen on port 0 of name.example (flag -port): "));
}

TEST_CASE("a port that another process has on one address of a name is not passed over") {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  const int other = ::socket(AF_INET, SOCK_STREAM, 0);
  REQUIRE(::bind(other, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  REQUIRE(::listen(other, 1) == 0);
  REQUIRE(::getsockname(other, reinterpret_cast<sockaddr*>(&address), &length) == 0);
  const std::uint16_t port = ntohs(address.sin_port);
  const Status taken = Addresses({"192.0.2.7", "127.0.0.1"}, port).can_bind(port);
  const Status everywhere = check_can_bind("::", port);  // IPv4 is a part of it
  ::close(other);
  for (const Status* refused : {&taken, &everywhere}) {
    REQUIRE_FALSE(*refused);
    REQUIRE(refused->error().text.ends_with("another process has it"));
  }
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
