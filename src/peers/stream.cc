#include "src/peers/stream.h"

#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include <asio/post.hpp>
#include <asio/read.hpp>
#include <asio/ssl/stream.hpp>
#include <asio/write.hpp>
#include <utility>

#include "raft/check.h"
#include "src/base/address.h"
#include "src/net/acceptor.h"
#include "src/net/tls.h"

namespace iris {
namespace {

// Where the other end's kernel does not acknowledge bytes within this time, it is gone (hazard
// 111). The same time applies to the probes of a quiet connection.
constexpr int dead_after_ms = 5000;
constexpr int probe_after_s = 3;
constexpr int probe_interval_s = 1;
constexpr int short_kernel_queue_bytes = 128 << 10;

// Failures are not told: a connection without these options works, only less well.
void set_option(Stream::Socket& socket, int level, int name, int value) {
  static_cast<void>(::setsockopt(socket.native_handle(), level, name, &value, sizeof value));
}

void set_options(Stream::Socket& socket) {
  set_option(socket, IPPROTO_TCP, TCP_NODELAY, 1);
  set_option(socket, IPPROTO_TCP, TCP_USER_TIMEOUT, dead_after_ms);
  set_option(socket, SOL_SOCKET, SO_KEEPALIVE, 1);
  set_option(socket, IPPROTO_TCP, TCP_KEEPIDLE, probe_after_s);
  set_option(socket, IPPROTO_TCP, TCP_KEEPINTVL, probe_interval_s);
}

}  // namespace

struct Stream::Secure {
  Secure(Socket& socket, SSL* session) : stream(socket, session) {}
  asio::ssl::stream<Socket&> stream;
};

Stream::Stream(Socket socket, ssl_st* session) : socket_(std::move(socket)) {
  if (session != nullptr) secure_ = std::make_unique<Secure>(socket_, session);
  std::error_code error;
  const auto endpoint = socket_.remote_endpoint(error);
  remote_ = error ? "a host that hung up" : endpoint_text(endpoint);
  if (!error) remote_address_ = unmapped(endpoint.address());
  set_options(socket_);
}

Stream::~Stream() = default;

void Stream::keep_kernel_queue_short() {
  set_option(socket_, IPPROTO_TCP, TCP_NOTSENT_LOWAT, short_kernel_queue_bytes);
}

Error Stream::describe(const std::error_code& error) const {
  if (secure_ != nullptr) {
    if (std::string why = Tls::refusal(secure_->stream.native_handle()); !why.empty()) {
      return {Errc::refused, std::move(why)};
    }
  }
  if (error == asio::error::eof || error == asio::ssl::error::stream_truncated) {
    return {Errc::io, "the other end hung up"};
  }
  if (error.category() != asio::error::get_ssl_category()) return {Errc::io, error.message()};
  const int reason = ERR_GET_REASON(static_cast<unsigned>(error.value()));
  if (reason == SSL_R_WRONG_VERSION_NUMBER || reason == SSL_R_HTTP_REQUEST) {
    return {Errc::refused, "TLS: the other end does not speak it (is it run with -insecure?)"};
  }
  const char* text = ERR_reason_error_string(static_cast<unsigned>(error.value()));
  const bool alert = reason >= SSL_AD_REASON_OFFSET;
  return {Errc::refused, std::string(alert ? "TLS: the other end refused this one: " : "TLS: ") +
                             (text != nullptr ? text : "unknown error")};
}

void Stream::handshake(Side side, std::function<void(Status)> done) {
  auto finished = [self = shared_from_this(),
                   done = std::move(done)](const std::error_code& error) {
    if (self->closed_) return;
    self->heard_ = Clock::now();
    if (error) {
      const Error why = self->describe(error);
      done(fail(why.code, why.text));
    } else {
      done(Unit{});
    }
  };
  if (secure_ == nullptr) {
    asio::post(socket_.get_executor(), [finished] { finished({}); });
  } else {
    const auto role =
        side == Side::dialler ? asio::ssl::stream_base::client : asio::ssl::stream_base::server;
    secure_->stream.async_handshake(role, std::move(finished));
  }
}

void Stream::send(std::string bytes, OnSent done) {
  CHECK(sending_.empty() && !bytes.empty());
  sending_ = std::move(bytes);
  auto sent = [self = shared_from_this(), done = std::move(done)](const std::error_code& error,
                                                                  std::size_t /*bytes*/) {
    if (self->closed_) return;
    std::string buffer = std::exchange(self->sending_, {});
    buffer.clear();
    if (error) {
      const Error why = self->describe(error);
      done(fail(why.code, why.text), std::move(buffer));
    } else {
      done(Unit{}, std::move(buffer));
    }
  };
  if (secure_ == nullptr) {
    asio::async_write(socket_, asio::buffer(sending_), std::move(sent));
  } else {
    asio::async_write(secure_->stream, asio::buffer(sending_), std::move(sent));
  }
}

void Stream::receive(OnFrame on_frame) {
  CHECK(on_frame_ == nullptr && on_frame != nullptr);
  on_frame_ = std::move(on_frame);
  if (delivering_ || reading_ || closed_) return;
  delivering_ = true;
  asio::post(socket_.get_executor(), [self = shared_from_this()] { self->deliver(); });
}

// Hands out what is buffered, then reads on. The frame handler may close this stream, or leave it
// to another one; it is moved out while it runs, so that neither destroys it under its feet.
void Stream::deliver() {
  delivering_ = true;
  while (!closed_ && on_frame_ != nullptr) {
    auto next = reader_.next();
    if (next && !*next) break;
    OnFrame call = std::exchange(on_frame_, nullptr);
    if (!next) {
      call(unexpected(next.error()));
      break;
    }
    const bool more = call(**next);
    if (more && !closed_) {
      CHECK(on_frame_ == nullptr);
      on_frame_ = std::move(call);
    }
  }
  delivering_ = false;
  if (!closed_ && on_frame_ != nullptr) read_some();
}

void Stream::read_some() {
  CHECK(!reading_);
  reading_ = true;
  const auto space = reader_.space();
  auto read = [self = shared_from_this()](const std::error_code& error, std::size_t bytes) {
    self->on_read(error, bytes);
  };
  if (secure_ == nullptr) {
    socket_.async_read_some(asio::buffer(space.data(), space.size()), std::move(read));
  } else {
    secure_->stream.async_read_some(asio::buffer(space.data(), space.size()), std::move(read));
  }
}

void Stream::on_read(const std::error_code& error, std::size_t bytes) {
  reading_ = false;
  if (closed_) return;
  if (!error) {
    heard_ = Clock::now();
    reader_.filled(bytes);
    deliver();
  } else if (OnFrame call = std::exchange(on_frame_, nullptr); call != nullptr) {
    const Error why = describe(error);
    call(fail(why.code, why.text));
  }
}

void Stream::drain(std::function<void()> done) {
  CHECK(sending_.empty() && !reading_);
  on_frame_ = nullptr;
  reader_ = FrameReader(handshake_bytes_max);  // what it holds may fill it
  drained_ = std::move(done);
  std::error_code ignored;
  socket_.shutdown(Socket::shutdown_send, ignored);
  read_to_nowhere();
}

void Stream::read_to_nowhere() {
  const auto space = reader_.space();
  socket_.async_read_some(asio::buffer(space.data(), space.size()),
                          [self = shared_from_this()](const std::error_code& error, std::size_t) {
                            if (self->closed_) return;
                            if (!error) return self->read_to_nowhere();
                            std::exchange(self->drained_, nullptr)();
                          });
}

void Stream::close() {
  if (std::exchange(closed_, true)) return;
  on_frame_ = nullptr;
  drained_ = nullptr;
  std::error_code ignored;
  socket_.close(ignored);
}

}  // namespace iris
