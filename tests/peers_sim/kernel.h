// Kernel: what the system of one host does for the process on it: connections, ports and timers.
// A service of the process's loop, so that each socket finds it and it ends with the loop.
// One thread. Owns the operations that wait, and drops them at its end without calling them, as
// Asio does. Handlers run on the loop, never from inside the call that began them.
#pragma once

#include <asio/buffer.hpp>
#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/post.hpp>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <tuple>
#include <utility>
#include <vector>

#include "tests/peers_sim/handler.h"

namespace iris::peers_sim {

class Kernel;
class Network;
struct End;

using Endpoint = asio::ip::tcp::endpoint;

// A queue of bytes, taken from its front.
class Bytes {
 public:
  [[nodiscard]] bool empty() const { return size() == 0; }
  [[nodiscard]] std::size_t size() const { return bytes_.size() - begin_; }
  void add(std::string_view more) { bytes_ += more; }
  // The first `count` of them, good until the next call of add().
  std::string_view take(std::size_t count) {
    if (begin_ > 4096 && begin_ > bytes_.size() / 2) {
      bytes_.erase(0, begin_);
      begin_ = 0;
    }
    const std::string_view taken = std::string_view(bytes_).substr(begin_, count);
    begin_ += count;
    return taken;
  }
  void clear() { begin_ = bytes_.size(); }
  // REQUIRES: !empty()
  [[nodiscard]] char& front() { return bytes_[begin_]; }

 private:
  std::string bytes_;
  std::size_t begin_ = 0;
};

// One direction of a connection: what one end wrote and the other has not read yet.
struct Pipe {
  // What becomes of the direction at its byte `fate_at`.
  enum class Fate {
    none,
    cut,      // both ends are reset, the writer later
    vanish,   // nothing arrives any more, and the reader never hears of it
    hang_up,  // the reader is told an end, as if the writer had sent one
    deafen,   // the writer is reset, the reader hears nothing of it
    flip,     // one bit of that byte arrives as another
  };

  std::uint64_t connection = 0;
  bool from_dialler = false;
  std::size_t from = 0;  // hosts
  std::size_t to = 0;
  std::weak_ptr<End> writer;
  std::weak_ptr<End> reader;

  Bytes flight;  // taken by the writer's kernel, not arrived
  Bytes arrived;
  std::uint64_t delivered = 0;  // of all bytes ever, at the reader's kernel
  Fate fate = Fate::none;
  std::uint64_t fate_at = 0;
  bool own_fate = false;  // of its writer, not of the network: it holds in a network that is healed
  bool end_sent = false;
  bool end_arrived = false;
  bool dead = false;    // nothing arrives any more
  bool moving = false;  // its next arrival is scheduled
  bool stuck = false;   // its link is blocked
  std::uint64_t times_stuck = 0;
};

// One end of a connection, from the call that begins it.
struct End {
  Kernel* kernel = nullptr;  // nullptr: closed, or its process has ended
  Endpoint remote;
  std::shared_ptr<Pipe> out;  // both nullptr: not connected yet
  std::shared_ptr<Pipe> in;
  std::error_code broken;
  bool write_shut = false;

  Handler<std::error_code> on_connected;
  asio::mutable_buffer read_space;
  Handler<std::error_code, std::size_t> on_read;
  asio::const_buffer write_bytes;
  Handler<std::error_code, std::size_t> on_written;
};

struct Wait {
  Handler<std::error_code> on_time;
};

class Kernel : public asio::execution_context::service {
 public:
  static asio::execution_context::id id;
  explicit Kernel(asio::execution_context& context);  // Asio's face wants it; never called
  Kernel(asio::execution_context& context, Network& network, std::size_t host);
  [[nodiscard]] static Kernel& of(asio::io_context& loop);

  [[nodiscard]] std::size_t host() const { return host_; }

  // --- Connections.
  [[nodiscard]] std::shared_ptr<End> connect(const Endpoint& to, Handler<std::error_code> done);
  void connected(End& end, std::error_code error);
  void read(End& end, asio::mutable_buffer space, Handler<std::error_code, std::size_t> done);
  void write(End& end, asio::const_buffer bytes, Handler<std::error_code, std::size_t> done);
  void shut_writing(End& end);
  void close(End& end);
  // Operations that wait go on, as far as they now can.
  void serve_read(End& end);
  void serve_write(End& end);
  // The connection is broken, as far as this end is told.
  void fail(End& end, std::error_code why);

  // --- Ports.
  using OnAccepted = Handler<std::error_code, std::shared_ptr<End>>;
  void listen(std::uint16_t port) { ports_[port]; }
  [[nodiscard]] bool listens(std::uint16_t port) const { return ports_.contains(port); }
  void accept(std::uint16_t port, OnAccepted done);
  void stop_listening(std::uint16_t port);
  // The end here of a connection that another host began. REQUIRES: listens(port)
  void offer(std::uint16_t port, std::shared_ptr<End> end);

  // --- Timers.
  [[nodiscard]] std::shared_ptr<Wait> wait(std::uint64_t wait_us, Handler<std::error_code> on_time);
  void cancel(Wait& wait);

 private:
  struct Port {
    std::deque<std::shared_ptr<End>> backlog;
    OnAccepted on_accepted;
  };

  void shutdown() override;
  void keep(const std::shared_ptr<End>& end);
  void serve_accept(Port& port);
  // Calls `handler` on the loop, later.
  template <class... Args>
  void call(Handler<Args...>& handler, Args... args) {
    if (!handler || ended_) return;
    asio::post(loop_, [taken = std::exchange(handler, {}),
                       given = std::make_tuple(std::move(args)...)]() mutable {
      std::apply([&taken](auto&... each) { taken(std::move(each)...); }, given);
    });
  }

  asio::io_context& loop_;
  Network* network_;
  const std::size_t host_;
  bool ended_ = false;
  std::map<std::uint16_t, Port> ports_;
  std::vector<std::weak_ptr<End>> ends_;
  std::vector<std::weak_ptr<Wait>> waits_;
};

}  // namespace iris::peers_sim
