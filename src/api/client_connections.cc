#include "src/api/client_connections.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <optional>
#include <utility>
#include <vector>

#include "raft/check.h"
#include "src/base/log.h"

namespace iris {
namespace {

constexpr std::chrono::seconds log_pause{30};

// Nothing where the descriptor is none of a socket any more.
std::optional<std::uint64_t> cookie_of(int descriptor) {
  std::uint64_t cookie = 0;
  socklen_t size = sizeof cookie;
  if (::getsockopt(descriptor, SOL_SOCKET, SO_COOKIE, &cookie, &size) != 0) return std::nullopt;
  return cookie;
}

// True where the other end has closed its side, which no client does that waits for answers.
bool has_left(int descriptor) {
  pollfd look{.fd = descriptor, .events = POLLRDHUP, .revents = 0};
  return ::poll(&look, 1, 0) == 1 && (look.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
}

}  // namespace

ClientConnections::ClientConnections(asio::io_context& loop, ClientConnectionsOptions options,
                                     HandOver hand_over)
    : options_(std::move(options)),
      hand_over_(std::move(hand_over)),
      acceptor_(std::make_shared<Acceptor>(
          loop,
          AcceptorOptions{.name = "the port",
                          .flag = "-port",
                          .host = options_.host,
                          .port = options_.port,
                          .inherited = options_.inherited},
          AcceptorHooks{[this](asio::ip::tcp::socket socket) { accepted(std::move(socket)); },
                        [this](const std::error_code& error) {
                          if (!may_say("failed")) return;
                          log(LogLevel::error, "cannot accept connections of clients",
                              {{"why", error.message()}});
                        }})),
      timer_(loop),
      look_timer_(loop),
      resets_(options_.resets, options_.stream_counts),
      limiter_(log_pause) {
  CHECK(options_.connections_max > 0 && options_.per_address_max > 0);
}

Status ClientConnections::listen() {
  if (Status can = acceptor_->listen(); !can) return can;
  sweep_later();
  look_for_resets();
  return Unit{};
}

void ClientConnections::close() {
  acceptor_->close();
  timer_.cancel();
  look_timer_.cancel();
}

// gRPC sees the end of the connection and closes the descriptor. It may do so between the look at
// the cookie and the cut; a descriptor that is none of a socket any more is not touched.
void ClientConnections::cut() {
  for (const auto& [descriptor, connection] : open_) cut(descriptor);
}

void ClientConnections::cut(int descriptor) {
  if (cookie_of(descriptor) == open_.at(descriptor).cookie) ::shutdown(descriptor, SHUT_RDWR);
}

void ClientConnections::look_for_resets() {
  look_timer_.expires_after(std::chrono::milliseconds(options_.look_ms));
  look_timer_.async_wait([weak = weak_from_this()](const asio::error_code& cancelled) {
    const auto self = weak.lock();
    if (cancelled || self == nullptr) return;
    for (const auto& [descriptor, why] : self->resets_.look(ResetWatch::Clock::now())) {
      const ResetLimits& limits = self->options_.resets;
      if (self->may_say(why)) {
        log(LogLevel::warn, "connection ended",
            {{"why", std::string(why)},
             {"address", self->open_.at(descriptor).address},
             {"open_max", limits.open_max},
             {"resets_at_once_max", limits.at_once_max},
             {"resets_per_second_max", limits.per_second_max}});
      }
      self->cut(descriptor);
      self->resets_.remove(descriptor);
    }
    self->look_for_resets();
  });
}

void ClientConnections::accepted(asio::ip::tcp::socket socket) {
  std::error_code error;
  const auto remote = socket.remote_endpoint(error);
  // Gone already; the socket closes. Many may have left while they waited in the kernel, and one
  // that was handed over holds its place until gRPC has seen its end.
  if (error || has_left(socket.native_handle())) return;
  static_cast<void>(socket.set_option(asio::ip::tcp::no_delay(true), error));
  socket.native_non_blocking(true, error);  // as gRPC expects it
  if (error) return;
  std::string address = host_text(remote);
  std::size_t& of_address = by_address_[address];
  if (of_address >= options_.per_address_max) {
    ++refused_;
    if (!may_say("address")) return;
    log(LogLevel::warn, "connections closed: too many from one address",
        {{"address", address},
         {"limit", std::uint64_t{options_.per_address_max}},
         {"flag", std::string("-max-connections-per-address")}});
    return;
  }
  const int descriptor = socket.release(error);
  if (error) return;
  forget(descriptor);  // one of the same number that is gone since the last sweep
  ++by_address_[address];
  open_[descriptor] = {cookie_of(descriptor).value_or(0), std::move(address)};
  resets_.add(descriptor, peer_text(remote), ResetWatch::Clock::now());
  hand_over_(descriptor);
  if (open_.size() < options_.connections_max || full_) return;
  sweep();
  if (open_.size() < options_.connections_max) return;
  full_ = true;
  acceptor_->pause();
  if (!may_say("full")) return;
  log(LogLevel::warn, "further clients wait: too many connections",
      {{"limit", std::uint64_t{options_.connections_max}},
       {"flag", std::string("-max-connections")}});
}

void ClientConnections::forget(int descriptor) {
  const auto found = open_.find(descriptor);
  if (found == open_.end()) return;
  const auto of_address = by_address_.find(found->second.address);
  CHECK(of_address != by_address_.end() && of_address->second > 0);
  if (--of_address->second == 0) by_address_.erase(of_address);
  open_.erase(found);
  resets_.remove(descriptor);
}

void ClientConnections::sweep() {
  std::vector<int> gone;
  for (const auto& [descriptor, connection] : open_) {
    if (cookie_of(descriptor) != connection.cookie) gone.push_back(descriptor);
  }
  for (const int descriptor : gone) forget(descriptor);
  std::erase_if(by_address_, [](const auto& each) { return each.second == 0; });
}

void ClientConnections::sweep_later() {
  timer_.expires_after(
      std::chrono::milliseconds(full_ ? options_.sweep_full_ms : options_.sweep_ms));
  timer_.async_wait([weak = weak_from_this()](const asio::error_code& cancelled) {
    const auto self = weak.lock();
    if (cancelled || self == nullptr) return;
    self->sweep();
    if (self->full_ && self->open_.size() < self->options_.connections_max) {
      self->full_ = false;
      self->acceptor_->resume();
    }
    self->sweep_later();
  });
}

// One line of each kind in a while.
bool ClientConnections::may_say(const char* event) {
  return limiter_.allow(event, LogLimiter::Clock::now()).has_value();
}

}  // namespace iris
