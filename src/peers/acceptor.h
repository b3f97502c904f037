// Acceptor: the listening sockets of the raft port, one for each address that -listen stands for.
// Loop thread. Owns the sockets. Never gives up: after a failed accept (no descriptor, no memory)
// it tries again PeersOptions::accept_retry_ms later.
#pragma once

#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/steady_timer.hpp>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>

#include "src/base/log_limiter.h"
#include "src/peers/peers.h"

namespace iris {

class Acceptor : public std::enable_shared_from_this<Acceptor> {
 public:
  using Socket = asio::ip::tcp::socket;
  // A connection was accepted. Never called from inside listen(), nor after close().
  using OnSocket = std::function<void(Socket socket)>;

  // The references outlive this object and every operation that it started.
  Acceptor(asio::io_context& loop, const PeersOptions& options, PeersStats& stats,
           LogLimiter& limiter, OnSocket on_socket);

  // Errc::io with a sentence that names the port, where none of the addresses can be opened, or
  // another process has one of them.
  [[nodiscard]] Status listen();
  [[nodiscard]] std::uint16_t port() const;  // REQUIRES: listen() succeeded
  void close();

 private:
  struct Door {
    explicit Door(asio::io_context& loop) : acceptor(loop), retry(loop) {}
    asio::ip::tcp::acceptor acceptor;
    asio::steady_timer retry;
  };

  [[nodiscard]] Result<std::vector<asio::ip::tcp::endpoint>> endpoints();
  [[nodiscard]] std::error_code open(const asio::ip::tcp::endpoint& endpoint);
  void accept(Door& door);
  void on_accepted(Door& door, const std::error_code& error, Socket socket);
  void accept_later(Door& door, const std::error_code& error);

  asio::io_context& loop_;
  const PeersOptions& options_;
  PeersStats& stats_;
  LogLimiter& limiter_;
  const OnSocket on_socket_;
  std::list<Door> doors_;
  bool closed_ = false;
};

}  // namespace iris
