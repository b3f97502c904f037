// The names of src/net/io.h for the simulation: sockets, timers and a clock with Asio's faces, as
// far as the raft port uses them, over the Kernel of their loop.
// One thread. A socket that goes is closed, and what waits on it is called back with an error.
#pragma once

#include <algorithm>
#include <asio/error.hpp>
#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/socket_base.hpp>
#include <chrono>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "tests/peers_sim/kernel.h"
#include "tests/sim/timeline.h"

namespace iris::io {

struct Clock {
  using duration = std::chrono::microseconds;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<Clock>;
  static constexpr bool is_steady = true;
  static time_point now() {
    return time_point(duration(begin_us + static_cast<rep>(timeline->now_us())));
  }

  static constexpr rep begin_us = 3'600'000'000;  // far from zero, which a forgotten time is
  // REQUIRES: set while sockets and timers live.
  inline static thread_local const sim::Timeline* timeline = nullptr;
};

class Timer {
 public:
  explicit Timer(asio::io_context& loop) : kernel_(&peers_sim::Kernel::of(loop)) {}
  ~Timer() { cancel(); }
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  std::size_t expires_after(Clock::duration wait) { return expires_at(Clock::now() + wait); }
  std::size_t expires_at(Clock::time_point at) {
    expiry_ = at;
    return cancel();
  }
  [[nodiscard]] Clock::time_point expiry() const { return expiry_; }
  template <class OnTime>
  void async_wait(OnTime&& on_time) {
    const auto left = std::max(expiry_ - Clock::now(), Clock::duration::zero());
    waits_.push_back(
        kernel_->wait(static_cast<std::uint64_t>(left.count()),
                      peers_sim::Handler<std::error_code>(std::forward<OnTime>(on_time))));
  }
  std::size_t cancel() {
    for (const auto& wait : waits_) kernel_->cancel(*wait);
    return std::exchange(waits_, {}).size();
  }

 private:
  peers_sim::Kernel* kernel_;
  Clock::time_point expiry_;
  std::vector<std::shared_ptr<peers_sim::Wait>> waits_;
};

class Socket {
 public:
  using executor_type = asio::io_context::executor_type;
  using lowest_layer_type = Socket;
  using endpoint_type = peers_sim::Endpoint;
  static constexpr auto shutdown_send = asio::socket_base::shutdown_send;

  explicit Socket(asio::io_context& loop, std::shared_ptr<peers_sim::End> end = nullptr)
      : loop_(&loop), end_(std::move(end)) {}
  ~Socket() { close(); }
  Socket(Socket&& other) noexcept : loop_(other.loop_), end_(std::exchange(other.end_, nullptr)) {}
  Socket& operator=(Socket&& other) noexcept {
    close();
    loop_ = other.loop_;
    end_ = std::exchange(other.end_, nullptr);
    return *this;
  }

  executor_type get_executor() { return loop_->get_executor(); }
  lowest_layer_type& lowest_layer() { return *this; }
  [[nodiscard]] int native_handle() const { return -1; }  // no option is ever set
  endpoint_type remote_endpoint(std::error_code& error) const {
    error = end_ == nullptr || end_->broken ? asio::error::not_connected : std::error_code();
    return error ? endpoint_type() : end_->remote;
  }

  template <class Done>
  void async_connect(const endpoint_type& to, Done&& done) {
    end_ = kernel().connect(to, peers_sim::Handler<std::error_code>(std::forward<Done>(done)));
  }
  template <class Buffers, class Done>
  void async_read_some(const Buffers& space, Done&& done) {
    kernel().read(*end_, first<asio::mutable_buffer>(space), on_bytes(std::forward<Done>(done)));
  }
  template <class Buffers, class Done>
  void async_write_some(const Buffers& bytes, Done&& done) {
    kernel().write(*end_, first<asio::const_buffer>(bytes), on_bytes(std::forward<Done>(done)));
  }
  void shutdown(asio::socket_base::shutdown_type, std::error_code& error) {
    error = {};
    kernel().shut_writing(*end_);
  }
  void close(std::error_code& error) {
    error = {};
    close();
  }

 private:
  void close() {
    if (end_ != nullptr && end_->kernel != nullptr) end_->kernel->close(*end_);
  }
  peers_sim::Kernel& kernel() { return peers_sim::Kernel::of(*loop_); }
  template <class Done>
  static auto on_bytes(Done&& done) {
    return peers_sim::Handler<std::error_code, std::size_t>(std::forward<Done>(done));
  }
  // One buffer a call, as a kernel is free to do.
  template <class Buffer, class Buffers>
  static Buffer first(const Buffers& buffers) {
    const auto end = asio::buffer_sequence_end(buffers);
    for (auto each = asio::buffer_sequence_begin(buffers); each != end; ++each) {
      if (Buffer(*each).size() > 0) return Buffer(*each);
    }
    return {};
  }

  asio::io_context* loop_;
  std::shared_ptr<peers_sim::End> end_;
};

class ListeningSocket {
 public:
  explicit ListeningSocket(asio::io_context& loop) : loop_(loop) {}
  ~ListeningSocket() { close(); }
  ListeningSocket(const ListeningSocket&) = delete;
  ListeningSocket& operator=(const ListeningSocket&) = delete;

  template <class Protocol>
  std::error_code open(const Protocol&, std::error_code& error) {
    return error = {};
  }
  // There is no system that hands sockets over.
  template <class Protocol>
  std::error_code assign(const Protocol&, int, std::error_code& error) {
    return error = std::make_error_code(std::errc::operation_not_supported);
  }
  template <class Option>
  std::error_code set_option(const Option&, std::error_code& error) {
    return error = {};
  }
  std::error_code bind(const peers_sim::Endpoint& local, std::error_code& error) {
    local_ = local;
    return error = {};
  }
  std::error_code listen(int, std::error_code& error) {
    listening_ = true;
    kernel().listen(local_.port());
    return error = {};
  }
  peers_sim::Endpoint local_endpoint(std::error_code& error) const {
    error = {};
    return local_;
  }
  template <class Done>
  void async_accept(Done&& done) {
    kernel().accept(local_.port(),
                    peers_sim::Kernel::OnAccepted(
                        [loop = &loop_, done = std::forward<Done>(done)](
                            std::error_code error, std::shared_ptr<peers_sim::End> end) mutable {
                          done(error, Socket(*loop, std::move(end)));
                        }));
  }
  std::error_code close(std::error_code& error) {
    close();
    return error = {};
  }

 private:
  void close() {
    if (std::exchange(listening_, false)) kernel().stop_listening(local_.port());
  }
  peers_sim::Kernel& kernel() { return peers_sim::Kernel::of(loop_); }

  asio::io_context& loop_;
  peers_sim::Endpoint local_;
  bool listening_ = false;
};

}  // namespace iris::io
