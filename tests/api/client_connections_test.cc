// ClientConnections: limits of connections, and that a port goes on after it had too many.
#include "src/api/client_connections.h"

#include <unistd.h>

#include <asio/ip/tcp.hpp>
#include <chrono>
#include <vector>

#include "tests/catch.h"

namespace iris {
namespace {

using asio::ip::tcp;

struct Port {
  explicit Port(ClientConnectionsOptions options) {
    options.host = "127.0.0.1";
    options.sweep_ms = options.sweep_full_ms = 5;
    connections = std::make_shared<ClientConnections>(
        loop, options, [this](int descriptor) { taken.push_back(descriptor); });
    REQUIRE(connections->listen());
  }
  ~Port() {
    connections->close();
    for (const int descriptor : taken) ::close(descriptor);
  }

  [[nodiscard]] tcp::socket connect() {
    tcp::socket socket(loop);
    socket.connect({asio::ip::address_v4::loopback(), connections->port()});
    return socket;
  }
  template <class Condition>
  [[nodiscard]] bool until(Condition condition) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (!condition()) {
      if (std::chrono::steady_clock::now() > end) return false;
      loop.run_one_for(std::chrono::milliseconds(10));
    }
    return true;
  }
  // What gRPC does when a client has left.
  void let_go_first() {
    ::close(taken.front());
    taken.erase(taken.begin());
  }

  asio::io_context loop;
  std::shared_ptr<ClientConnections> connections;
  std::vector<int> taken;
};

TEST_CASE("at connections_max clients wait in the kernel, and come in when one has left") {
  Port port({.connections_max = 2});
  std::vector<tcp::socket> clients;
  for (int i = 0; i < 3; ++i) clients.push_back(port.connect());
  REQUIRE(port.until([&] { return port.taken.size() == 2; }));
  port.loop.run_for(std::chrono::milliseconds(30));  // several sweeps
  CHECK(port.taken.size() == 2);
  CHECK(port.connections->open() == 2);
  CHECK(port.connections->refused() == 0);
  port.let_go_first();
  REQUIRE(port.until([&] { return port.taken.size() == 2; }));
}

TEST_CASE("one more connection of an address than per_address_max is closed, others come in") {
  Port port({.connections_max = 100, .per_address_max = 3});
  std::vector<tcp::socket> clients;
  for (int i = 0; i < 3; ++i) clients.push_back(port.connect());
  REQUIRE(port.until([&] { return port.taken.size() == 3; }));
  tcp::socket fourth = port.connect();
  REQUIRE(port.until([&] { return port.connections->refused() == 1; }));
  char byte = 0;
  std::error_code error;
  CHECK(fourth.read_some(asio::buffer(&byte, 1), error) == 0);
  CHECK(error);
  port.let_go_first();
  REQUIRE(port.until([&] { return port.connections->open() == 2; }));
  clients.push_back(port.connect());
  REQUIRE(port.until([&] { return port.taken.size() == 3; }));
  CHECK(port.connections->refused() == 1);
}

// A fault that was: each held a place until gRPC had seen its end, so that after 200 idle clients
// of a node with few descriptors the next one waited longer than its handshake may take.
TEST_CASE("clients that left while they waited in the kernel take no place") {
  Port port({.connections_max = 2});
  std::vector<tcp::socket> clients;
  for (int i = 0; i < 2; ++i) clients.push_back(port.connect());
  for (int i = 0; i < 40; ++i) port.connect().close();
  clients.push_back(port.connect());
  REQUIRE(port.until([&] { return port.taken.size() == 2; }));
  port.let_go_first();
  REQUIRE(port.until([&] { return port.taken.size() == 2; }));
  sockaddr_in remote{};
  socklen_t size = sizeof remote;
  REQUIRE(::getpeername(port.taken.back(), reinterpret_cast<sockaddr*>(&remote), &size) == 0);
  CHECK(ntohs(remote.sin_port) == clients.back().local_endpoint().port());
  CHECK(port.connections->refused() == 0);
}

// A fault that was: gRPC's own port was dead after 20,000 such clients.
TEST_CASE("a port goes on after many clients that came and went") {
  Port port({.connections_max = 50});
  for (int i = 0; i < 500; ++i) {
    tcp::socket client = port.connect();
    client.close();
    port.loop.poll();
    while (!port.taken.empty()) port.let_go_first();
  }
  tcp::socket last = port.connect();
  REQUIRE(port.until([&] {
    bool here = false;
    while (!port.taken.empty()) {
      sockaddr_in remote{};
      socklen_t size = sizeof remote;
      here = here ||
             (::getpeername(port.taken.front(), reinterpret_cast<sockaddr*>(&remote), &size) == 0 &&
              ntohs(remote.sin_port) == last.local_endpoint().port());
      port.let_go_first();
    }
    return here;
  }));
}

}  // namespace
}  // namespace iris
