#include "tests/client/slow_line.h"

#include <array>
#include <asio.hpp>
#include <thread>
#include <utility>

namespace iris::test {

namespace {

using asio::ip::tcp;

// The bytes under way when a stream is given up still arrive, and delay the next stream: let it be
// little.
constexpr int receive_buffer_bytes = 16 << 10;

}  // namespace

// Of the line's thread, but for the port.
struct SlowLine::State {
  State(int node_port, Speed line_speed)
      : speed(line_speed),
        node(asio::ip::address_v4::loopback(), static_cast<std::uint16_t>(node_port)),
        acceptor(loop, tcp::endpoint(asio::ip::address_v4::loopback(), 0)),
        port(acceptor.local_endpoint().port()) {
    accept();
    thread = std::thread([this] { loop.run(); });
  }

  struct Connection {
    explicit Connection(asio::io_context& loop) : client(loop), server(loop) {}
    tcp::socket client, server;
    void close() {
      asio::error_code ignored;
      client.close(ignored);
      server.close(ignored);
    }
  };
  // One direction of a connection.
  struct Way {
    std::shared_ptr<Connection> connection;
    tcp::socket& in;
    tcp::socket& out;
    std::chrono::nanoseconds a_byte;  // takes so long
    asio::steady_timer timer;
    std::array<char, 4 << 10> bytes{};
  };

  void accept() {
    auto connection = std::make_shared<Connection>(loop);
    acceptor.async_accept(connection->client, [this, connection](asio::error_code error) {
      if (error == asio::error::operation_aborted) return;
      if (!error) dial(connection);
      accept();
    });
  }

  void dial(const std::shared_ptr<Connection>& connection) {
    asio::error_code ignored;
    connection->server.open(tcp::v4(), ignored);
    connection->server.set_option(asio::socket_base::receive_buffer_size(receive_buffer_bytes),
                                  ignored);
    connection->server.async_connect(node, [this, connection](asio::error_code error) {
      if (error) return connection->close();
      auto& [client, server] = *connection;
      const std::chrono::nanoseconds second = std::chrono::seconds(1);
      const auto a_byte = speed.bytes_per_s == 0 ? second * 0 : second / speed.bytes_per_s;
      const auto there = std::make_shared<Way>(
          Way{connection, client, server, second * 0, asio::steady_timer(loop)});
      const auto back =
          std::make_shared<Way>(Way{connection, server, client, a_byte, asio::steady_timer(loop)});
      for (const auto& way : {there, back}) read_after(way, speed.until_first);
    });
  }

  void read_after(const std::shared_ptr<Way>& way, std::chrono::nanoseconds time) {
    way->timer.expires_after(time);
    way->timer.async_wait([this, way](asio::error_code) {
      way->in.async_read_some(asio::buffer(way->bytes),
                              [this, way](asio::error_code error, std::size_t size) {
                                if (error) return way->connection->close();
                                write(way, size);
                              });
    });
  }

  void write(const std::shared_ptr<Way>& way, std::size_t size) {
    asio::async_write(way->out, asio::buffer(way->bytes, size),
                      [this, way, size](asio::error_code error, std::size_t) {
                        if (error) return way->connection->close();
                        read_after(way, way->a_byte * size);
                      });
  }

  const Speed speed;
  const tcp::endpoint node;
  asio::io_context loop;
  tcp::acceptor acceptor;
  const std::uint16_t port;
  std::thread thread;
};

SlowLine::SlowLine(int port, Speed speed) : state_(std::make_unique<State>(port, speed)) {}

SlowLine::~SlowLine() {
  state_->loop.stop();
  state_->thread.join();
}

std::string SlowLine::address() const { return "127.0.0.1:" + std::to_string(state_->port); }

}  // namespace iris::test
