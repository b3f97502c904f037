#include "src/net/acceptor.h"

#include <sys/socket.h>

#include <asio/ip/v6_only.hpp>
#include <cerrno>
#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "raft/check.h"
#include "src/base/address.h"

namespace iris {

using asio::ip::tcp;

asio::ip::address unmapped(const asio::ip::address& address) {
  if (address.is_v6() && address.to_v6().is_v4_mapped()) {
    return asio::ip::make_address_v4(asio::ip::v4_mapped, address.to_v6());
  }
  return address;
}

Acceptor::Acceptor(asio::io_context& loop, AcceptorOptions options, AcceptorHooks hooks)
    : loop_(loop), options_(std::move(options)), hooks_(std::move(hooks)) {}

Result<std::vector<tcp::endpoint>> Acceptor::endpoints() {
  std::error_code error;
  if (options_.host.empty()) {  // IPv6 sockets take IPv4 too; some hosts have no IPv6
    io::ListeningSocket test(loop_);
    static_cast<void>(test.open(tcp::v6(), error));
    return std::vector{tcp::endpoint(error ? tcp::v4() : tcp::v6(), options_.port)};
  }
  std::vector<tcp::endpoint> found;
  // The loop does not run yet, so waiting for a name server holds up nobody.
  for (const auto& each : tcp::resolver(loop_).resolve(options_.host, std::to_string(options_.port),
                                                       tcp::resolver::passive, error)) {
    found.push_back(each.endpoint());
  }
  if (found.empty()) {
    return fail(Errc::io, "-listen " + options_.host + " is not resolved: " + error.message());
  }
  return found;
}

Status Acceptor::listen() {
  for (const int socket : options_.inherited) {
    if (Status taken = adopt(socket); !taken) return taken;
  }
  if (!doors_.empty()) return Unit{};
  auto wanted = endpoints();
  if (!wanted) return unexpected(wanted.error());
  Status opened = Unit{};
  for (tcp::endpoint endpoint : *wanted) {
    if (!doors_.empty()) endpoint.port(port());  // where any was free, all take the same
    const std::error_code error = open(endpoint);
    if (!error) continue;
    const bool taken = error == asio::error::address_in_use;
    opened =
        fail(Errc::io,
             options_.name + " " + endpoint_text(endpoint) + " (" + options_.flag + ") " +
                 (taken ? "is in use by another process" : "cannot be opened: " + error.message()));
    if (taken) return opened;
  }
  // A name may stand for addresses that this host does not have (::1 where IPv6 is off).
  return doors_.empty() ? opened : Unit{};
}

Status Acceptor::adopt(int socket) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  std::error_code error;
  if (::getsockname(socket, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    error = {errno, std::generic_category()};
  }
  Door& door = doors_.emplace_back(loop_);
  const tcp protocol = address.ss_family == AF_INET6 ? tcp::v6() : tcp::v4();
  if (!error) static_cast<void>(door.acceptor.assign(protocol, socket, error));
  if (error) {
    return fail(Errc::io,
                options_.name + " cannot use systemd's socket for it: " + error.message());
  }
  accept(door);
  return Unit{};
}

std::error_code Acceptor::open(const tcp::endpoint& endpoint) {
  std::error_code error;
  Door& door = doors_.emplace_back(loop_);
  io::ListeningSocket& acceptor = door.acceptor;
  static_cast<void>(acceptor.open(endpoint.protocol(), error));
  if (!error) static_cast<void>(acceptor.set_option(tcp::acceptor::reuse_address(true), error));
  if (!error && endpoint.protocol() == tcp::v6()) {
    // Every interface is every interface of IPv4 too, as it is for gRPC.
    static_cast<void>(
        acceptor.set_option(asio::ip::v6_only(!endpoint.address().is_unspecified()), error));
  }
  if (!error) static_cast<void>(acceptor.bind(endpoint, error));
  if (!error) static_cast<void>(acceptor.listen(tcp::acceptor::max_listen_connections, error));
  if (error) {
    doors_.pop_back();
  } else {
    accept(door);
  }
  return error;
}

std::uint16_t Acceptor::port() const {
  std::error_code error;
  CHECK(!doors_.empty());
  const auto endpoint = doors_.front().acceptor.local_endpoint(error);
  CHECK(!error);
  return endpoint.port();
}

void Acceptor::accept(Door& door) {
  door.armed = true;
  door.acceptor.async_accept(
      [weak = weak_from_this(), &door](const std::error_code& error, io::Socket socket) {
        const auto self = weak.lock();
        if (self == nullptr || self->closed_) return;
        door.armed = false;
        self->on_accepted(door, error, std::move(socket));
      });
}

void Acceptor::on_accepted(Door& door, const std::error_code& error, io::Socket socket) {
  if (error) {
    hooks_.failed(error);
    return accept_later(door);
  }
  hooks_.accepted(std::move(socket));
  if (!closed_ && !paused_ && !door.armed) accept(door);
}

void Acceptor::accept_later(Door& door) {
  door.armed = true;
  door.retry.expires_after(std::chrono::milliseconds(options_.retry_ms));
  door.retry.async_wait([weak = weak_from_this(), &door](const asio::error_code& cancelled) {
    const auto self = weak.lock();
    if (self == nullptr || self->closed_ || cancelled) return;
    door.armed = false;
    if (!self->paused_) self->accept(door);
  });
}

void Acceptor::resume() {
  paused_ = false;
  if (closed_) return;
  for (Door& door : doors_) {
    if (!door.armed) accept(door);
  }
}

void Acceptor::close() {
  closed_ = true;
  for (Door& door : doors_) {
    std::error_code ignored;
    static_cast<void>(door.acceptor.close(ignored));
    door.retry.cancel();
  }
}

std::string endpoint_text(const asio::ip::tcp::endpoint& endpoint) {
  return address_text(unmapped(endpoint.address()).to_string(), endpoint.port());
}

std::string host_text(const tcp::endpoint& endpoint) {
  return unmapped(endpoint.address()).to_string();
}

}  // namespace iris
