// ClientConnections: accepts the connections of clients and hands them to gRPC, as many as the
// process can bear. gRPC 1.51's own listener stops for ever once it runs out of descriptors
// (grpc/grpc#16058), knows no limit of connections, and dies of connections that are gone before
// it looks at them; therefore the house accepts by itself.
//
// Loop thread. A connection belongs to gRPC once it is handed over; here its descriptor is only
// remembered, together with the socket's cookie (SO_COOKIE, unique for each socket since boot), to
// see at each sweep whether it is still that connection.
#pragma once

#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "raft/result.h"
#include "src/api/reset_watch.h"
#include "src/base/log_limiter.h"
#include "src/net/acceptor.h"

namespace iris {

struct ClientConnectionsOptions {
  std::string host;                 // as AcceptorOptions
  std::uint16_t port = 0;           // as AcceptorOptions
  std::vector<int> inherited = {};  // as AcceptorOptions
  // -max-connections. While there are so many, further ones wait in the kernel.
  std::size_t connections_max = 10'000;
  // -max-connections-per-address: of one IP address. Further ones are closed at once.
  std::size_t per_address_max = 5'000;
  std::uint32_t sweep_ms = 500;
  std::uint32_t sweep_full_ms = 50;  // while clients wait for a place
  ResetLimits resets;
  StreamCounts stream_counts;
  std::uint32_t look_ms = 50;  // between two looks for floods of resets
};

class ClientConnections : public std::enable_shared_from_this<ClientConnections> {
 public:
  // Takes over the descriptor of a connected socket.
  using HandOver = std::function<void(int descriptor)>;

  // `loop` outlives this object and every operation that it started.
  ClientConnections(asio::io_context& loop, ClientConnectionsOptions options, HandOver hand_over);

  // Errors: as Acceptor::listen().
  [[nodiscard]] Status listen();
  [[nodiscard]] std::uint16_t port() const { return acceptor_->port(); }
  // Accepts no more. What is open stays.
  void close();
  // Ends every open connection in both directions: nothing is read from it or written to it any
  // more, and what was written before still reaches its client. REQUIRES: closed
  void cut();

  // As of the last sweep, and those accepted since.
  [[nodiscard]] std::size_t open() const { return open_.size(); }
  // Closed for the limit of their address, since the start.
  [[nodiscard]] std::uint64_t refused() const { return refused_; }

 private:
  struct Connection {
    std::uint64_t cookie = 0;
    std::string address;
  };

  void accepted(asio::ip::tcp::socket socket);
  void forget(int descriptor);
  void sweep();
  void sweep_later();
  void look_for_resets();
  void cut(int descriptor);
  [[nodiscard]] bool may_say(const char* event);

  const ClientConnectionsOptions options_;
  const HandOver hand_over_;
  std::shared_ptr<Acceptor> acceptor_;
  asio::steady_timer timer_;
  asio::steady_timer look_timer_;
  ResetWatch resets_;
  LogLimiter limiter_;
  std::unordered_map<int, Connection> open_;  // by descriptor
  std::unordered_map<std::string, std::size_t> by_address_;
  std::uint64_t refused_ = 0;
  bool full_ = false;  // accepting is paused
};

}  // namespace iris
