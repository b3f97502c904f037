// Listening sockets that systemd hands over: what fits, and a sentence for each that does not.
#include "src/net/inherited_sockets.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "src/base/log.h"
#include "tests/catch.h"

namespace iris {
namespace {

constexpr pid_t self = 4711;
constexpr int first = 700;  // descriptors of a test; no other has them

enum class Kind { listening, bound, datagram, local };

// Descriptors as systemd hands them over, in a row from `first`.
class Descriptors {
 public:
  Descriptors() = default;
  ~Descriptors() {
    for (int i = 0; i < count_; ++i) ::close(first + i);
  }
  Descriptors(const Descriptors&) = delete;
  Descriptors& operator=(const Descriptors&) = delete;

  void add(Kind kind, std::uint16_t port = 0, in_addr_t address = INADDR_LOOPBACK) {
    const int type = kind == Kind::datagram ? SOCK_DGRAM : SOCK_STREAM;
    const int socket = ::socket(kind == Kind::local ? AF_UNIX : AF_INET, type, 0);
    REQUIRE(socket >= 0);
    if (kind != Kind::local) {
      const int on = 1;
      ::setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
      sockaddr_in name{};
      name.sin_family = AF_INET;
      name.sin_port = htons(port);
      name.sin_addr.s_addr = htonl(address);
      REQUIRE(::bind(socket, reinterpret_cast<sockaddr*>(&name), sizeof name) == 0);
    }
    if (kind == Kind::local) {
      sockaddr_un name{};
      name.sun_family = AF_UNIX;  // a name of the kernel's choice
      REQUIRE(::bind(socket, reinterpret_cast<sockaddr*>(&name), sizeof name.sun_family) == 0);
    }
    if (kind == Kind::listening || kind == Kind::local) REQUIRE(::listen(socket, 1) == 0);
    place(socket);
  }
  void add_v6(std::uint16_t port, const in6_addr& address) {
    const int socket = ::socket(AF_INET6, SOCK_STREAM, 0);
    REQUIRE(socket >= 0);
    sockaddr_in6 name{};
    name.sin6_family = AF_INET6;
    name.sin6_port = htons(port);
    name.sin6_addr = address;
    REQUIRE(::bind(socket, reinterpret_cast<sockaddr*>(&name), sizeof name) == 0);
    REQUIRE(::listen(socket, 1) == 0);
    place(socket);
  }
  [[nodiscard]] Result<InheritedSockets> take(std::uint32_t port, const std::string& names = "",
                                              int missing = 0) const {
    return inherited_sockets({std::to_string(self), std::to_string(count_ + missing), names}, self,
                             port, first);
  }
  [[nodiscard]] std::string error(std::uint32_t port, const std::string& names = "",
                                  int missing = 0) const {
    const auto taken = take(port, names, missing);
    REQUIRE(!taken);
    REQUIRE(taken.error().code == Errc::invalid_argument);
    return taken.error().text;
  }

 private:
  void place(int socket) {
    REQUIRE(::dup2(socket, first + count_) == first + count_);
    ::close(socket);
    ++count_;
  }
  int count_ = 0;
};

// Two ports in a row that nobody has.
std::uint16_t free_port() {
  for (std::uint16_t port = 47'100; port < 47'900; port += 2) {
    bool free = true;
    for (int next = 0; next < 2; ++next) {
      const int socket = ::socket(AF_INET, SOCK_STREAM, 0);
      sockaddr_in name{};
      name.sin_family = AF_INET;
      name.sin_port = htons(static_cast<std::uint16_t>(port + next));
      name.sin_addr.s_addr = htonl(INADDR_ANY);
      free = free && ::bind(socket, reinterpret_cast<sockaddr*>(&name), sizeof name) == 0;
      ::close(socket);
    }
    if (free) return port;
  }
  FAIL("no two ports are free");
  return 0;
}

TEST_CASE("sockets of systemd are told apart by their ports, in any order") {
  const std::uint16_t port = free_port();
  Descriptors two;
  two.add(Kind::listening, port + 1);
  two.add(Kind::listening, port);
  for (const std::string names : {"", "iris.socket:iris.socket", "raft:grpc", "raft", "::::"}) {
    const auto taken = two.take(port, names);
    INFO((taken ? "" : taken.error().text));
    REQUIRE(taken);
    REQUIRE(taken->clients == std::vector<int>{first + 1});
    REQUIRE(taken->peers == std::vector<int>{first});
    REQUIRE_FALSE(taken->beyond_loopback);
    REQUIRE_FALSE(taken->empty());
  }
  REQUIRE((::fcntl(first, F_GETFD) & FD_CLOEXEC) != 0);  // for no child
}

TEST_CASE("several sockets may be for one port, and one beyond loopback is noticed") {
  const std::uint16_t port = free_port();
  Descriptors three;
  three.add(Kind::listening, port);
  three.add(Kind::listening, port + 1);
  three.add_v6(port, in6addr_loopback);
  auto taken = three.take(port);
  REQUIRE(taken);
  REQUIRE(taken->clients == std::vector<int>{first, first + 2});
  REQUIRE_FALSE(taken->beyond_loopback);
  three.add(Kind::listening, static_cast<std::uint16_t>(port + 1), INADDR_LOOPBACK + 1);
  REQUIRE_FALSE(three.take(port)->beyond_loopback);  // 127.0.0.2

  Descriptors outside;
  const std::uint16_t other = free_port();
  outside.add(Kind::listening, other);
  outside.add(Kind::listening, other + 1, INADDR_ANY);
  taken = outside.take(other);
  REQUIRE(taken);
  REQUIRE(taken->beyond_loopback);
}

TEST_CASE("without the variables, or for another process, no socket is taken") {
  Descriptors two;
  const std::uint16_t port = free_port();
  two.add(Kind::listening, port);
  two.add(Kind::listening, port + 1);
  const ListenVariables others[] = {{"", "", ""},
                                    {"", "2", ""},
                                    {"4711", "", ""},
                                    {"4712", "2", ""},
                                    {"4712", "nonsense", ""},
                                    {"0x1267", "2", ""}};
  for (const ListenVariables& variables : others) {
    const auto taken = inherited_sockets(variables, self, port, first);
    REQUIRE(taken);
    REQUIRE(taken->empty());
    REQUIRE(taken->peers.empty());
  }
}

TEST_CASE("a count that is none is refused, with the limit") {
  for (const std::string count : {"0", "-1", "2x", " 2", "65", "99999999999999999999"}) {
    const auto taken = inherited_sockets({"4711", count, ""}, self, 32000, first);
    REQUIRE(!taken);
    REQUIRE(taken.error().text ==
            "LISTEN_FDS is \"" + count + "\": it takes a number from 1 to 64");
  }
  static_assert(inherited_sockets_max == 64);
  const std::uint16_t port = free_port();
  Descriptors most;
  for (std::size_t i = 0; i < inherited_sockets_max; ++i) {
    // One address each: 127.0.0.1 and those after it.
    most.add(Kind::listening, static_cast<std::uint16_t>(port + i % 2),
             INADDR_LOOPBACK + static_cast<in_addr_t>(i));
  }
  const auto taken = most.take(port);
  REQUIRE(taken);
  REQUIRE(taken->clients.size() + taken->peers.size() == inherited_sockets_max);
}

TEST_CASE("a descriptor that is no listening TCP socket is named, with what the unit needs") {
  const std::uint16_t port = free_port();
  const std::string needs =
      ", handed over by systemd, is no listening TCP socket: the .socket unit "
      "needs ListenStream=" +
      std::to_string(port) + " and ListenStream=" + std::to_string(port + 1);
  for (const Kind kind : {Kind::bound, Kind::datagram, Kind::local}) {
    Descriptors one;
    one.add(kind, kind == Kind::local ? 0 : port);
    REQUIRE(one.error(port, "a.socket") == "descriptor 700 (a.socket)" + needs);
  }
  const Descriptors none;
  REQUIRE(none.error(port, "", 1) == "descriptor 700" + needs);  // not open at all
}

TEST_CASE("a socket at another port is named, with the ports of this node") {
  const std::uint16_t port = free_port();
  Descriptors two;
  two.add(Kind::listening, port);
  two.add(Kind::listening, port + 1);
  const std::string at = std::to_string(port);
  REQUIRE(two.error(32000, "x") ==
          "descriptor 700 (x), handed over by systemd, is a socket at port " + at +
              ", and this node's are 32000 (-port) and 32001");
  REQUIRE(two.error(port, "raft:grpc") ==
          "descriptor 700 (raft), handed over by systemd, is a socket at port " + at +
              ", which is the one for grpc");
  REQUIRE(two.error(port, "grpc:grpc") ==
          "descriptor 701 (grpc), handed over by systemd, is a socket at port " +
              std::to_string(port + 1) + ", which is the one for raft");
}

TEST_CASE("a port without a socket is named") {
  const std::uint16_t port = free_port();
  Descriptors clients;
  clients.add(Kind::listening, port);
  REQUIRE(clients.error(port) ==
          "systemd handed over no socket for port " + std::to_string(port + 1) +
              " (-port + 1): the .socket unit needs ListenStream=" + std::to_string(port + 1));
  REQUIRE(clients.error(port - 1u) ==
          "systemd handed over no socket for port " + std::to_string(port - 1) +
              " (-port): the .socket unit needs ListenStream=" + std::to_string(port - 1));
}

TEST_CASE("the variables of systemd's sockets are removed from the environment, taken or not") {
  for (const std::string& pid : {std::to_string(::getpid()), std::string("1")}) {
    ::setenv("LISTEN_PID", pid.c_str(), 1);
    ::setenv("LISTEN_FDS", "none", 1);
    ::setenv("LISTEN_FDNAMES", "a", 1);
    const auto taken = take_inherited_sockets(32000);
    REQUIRE(taken.has_value() == (pid == "1"));
    for (const char* name : {"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"}) {
      REQUIRE(std::getenv(name) == nullptr);
    }
  }
}

}  // namespace
}  // namespace iris
