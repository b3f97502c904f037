// The common part of the tests of iris::Client against fake nodes. Test thread.
#pragma once

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "src/client/client.h"
#include "tests/catch.h"
#include "tests/client/fake_iris.h"

namespace iris::test {

inline Client make_client(std::vector<std::string> addresses,
                          std::chrono::milliseconds timeout = std::chrono::seconds(5)) {
  client::Options options;
  options.addresses = std::move(addresses);
  options.tls = std::nullopt;
  options.timeout = timeout;
  auto client = Client::create(std::move(options));
  REQUIRE(client);
  return std::move(*client);
}

// An address where nobody listens: of a node that is gone.
inline std::string dead_address() {
  FakeIris node(std::make_shared<FakeCluster>());
  return node.address();
}

// Blocks until somebody dials the port, at most 10 s, and hangs up.
inline void await_dial(int port) {
  const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int on = 1;
  ::setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  if (::bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0 &&
      ::listen(listener, 1) == 0) {
    pollfd dialled{listener, POLLIN, 0};
    ::poll(&dialled, 1, 10'000);
  }
  ::close(listener);
}

template <class T>
std::optional<client::Error> error_of(const client::Result<T>& result) {
  if (result) return std::nullopt;
  return result.error();
}

inline FakeIris::Hook always(std::string method,
                             std::function<grpc::Status(grpc::ServerContext&)> answer) {
  return [method = std::move(method), answer = std::move(answer)](
             std::string_view called, grpc::ServerContext& context) -> std::optional<grpc::Status> {
    if (called != method) return std::nullopt;
    return answer(context);
  };
}

}  // namespace iris::test
