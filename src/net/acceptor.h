// Acceptor: the listening sockets of one port, one for each address that -listen stands for.
// Those that systemd hands over are taken instead, where there are some.
// Loop thread. Owns the sockets. Never gives up: after a failed accept (no descriptor, no memory)
// it tries again retry_ms later, because the connection still waits and an immediate retry would
// spin.
#pragma once

#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <string>
#include <system_error>
#include <vector>

#include "raft/result.h"
#include "src/net/io.h"

namespace iris {

struct AcceptorOptions {
  std::string name;        // for sentences: "the raft port"
  std::string flag;        // that gives the port: "-port + 1"
  std::string host;        // or address; empty: every interface
  std::uint16_t port = 0;  // 0: any free one
  std::uint32_t retry_ms = 100;
  // Listening sockets of that port, which this object takes over; host and port then mean nothing.
  // Empty: it opens its own.
  std::vector<int> inherited;
};

struct AcceptorHooks {
  // A connection was accepted. Never called from inside listen(), nor after close().
  std::function<void(io::Socket socket)> accepted;
  std::function<void(const std::error_code& error)> failed;
};

class Acceptor : public std::enable_shared_from_this<Acceptor> {
 public:
  // `loop` outlives this object and every operation that it started.
  Acceptor(asio::io_context& loop, AcceptorOptions options, AcceptorHooks hooks);

  // Errc::io with a sentence that names the port, where none of the addresses can be opened, or
  // another process has one of them. Resolves the host's name, which may block: it is for the time
  // before the loop runs.
  [[nodiscard]] Status listen();
  [[nodiscard]] std::uint16_t port() const;  // REQUIRES: listen() succeeded
  // Connections wait in the kernel until resume(). One for each address may still be accepted.
  void pause() { paused_ = true; }
  void resume();
  void close();

 private:
  struct Door {
    explicit Door(asio::io_context& loop) : acceptor(loop), retry(loop) {}
    io::ListeningSocket acceptor;
    io::Timer retry;
    bool armed = false;  // an accept is under way, or a retry
  };

  [[nodiscard]] Result<std::vector<asio::ip::tcp::endpoint>> endpoints();
  [[nodiscard]] Status adopt(int socket);
  [[nodiscard]] std::error_code open(const asio::ip::tcp::endpoint& endpoint);
  void accept(Door& door);
  void on_accepted(Door& door, const std::error_code& error, io::Socket socket);
  void accept_later(Door& door);

  asio::io_context& loop_;
  const AcceptorOptions options_;
  const AcceptorHooks hooks_;
  std::list<Door> doors_;
  bool paused_ = false;
  bool closed_ = false;
};

// An IPv4 address also where an IPv6 socket took an IPv4 connection.
[[nodiscard]] asio::ip::address unmapped(const asio::ip::address& address);
// "192.0.2.1:40000" also where an IPv6 socket took an IPv4 connection.
[[nodiscard]] std::string endpoint_text(const asio::ip::tcp::endpoint& endpoint);
// The same without the port.
[[nodiscard]] std::string host_text(const asio::ip::tcp::endpoint& endpoint);

}  // namespace iris
