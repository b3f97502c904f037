#include "src/net/inherited_sockets.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <charconv>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string_view>

#include "src/base/log.h"

namespace iris {
namespace {

constexpr std::uint32_t loopback_network = 127;  // the first byte of an IPv4 address
constexpr std::string_view clients_name = "grpc";
constexpr std::string_view peers_name = "raft";

unexpected<Error> bad(std::string text) { return fail(Errc::invalid_argument, std::move(text)); }

std::optional<std::uint64_t> number_of(std::string_view text) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

// Takes the part before the next colon off `names`.
std::string_view next_name(std::string_view& names) {
  const std::size_t end = std::min(names.find(':'), names.size());
  const std::string_view name = names.substr(0, end);
  names.remove_prefix(std::min(end + 1, names.size()));
  return name;
}

int option_of(int socket, int option) {
  int value = 0;
  socklen_t size = sizeof value;
  return ::getsockopt(socket, SOL_SOCKET, option, &value, &size) == 0 ? value : -1;
}

struct Bound {
  std::uint32_t port = 0;
  bool loopback = false;
};

// Nothing where it is no listening TCP socket.
std::optional<Bound> bound_to(int socket) {
  if (option_of(socket, SO_ACCEPTCONN) != 1 || option_of(socket, SO_TYPE) != SOCK_STREAM) {
    return std::nullopt;
  }
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  if (::getsockname(socket, reinterpret_cast<sockaddr*>(&address), &size) != 0) return std::nullopt;
  if (address.ss_family == AF_INET) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(address);
    return Bound{ntohs(v4.sin_port), ntohl(v4.sin_addr.s_addr) >> 24 == loopback_network};
  }
  if (address.ss_family == AF_INET6) {
    const auto& v6 = reinterpret_cast<const sockaddr_in6&>(address);
    return Bound{ntohs(v6.sin6_port), IN6_IS_ADDR_LOOPBACK(&v6.sin6_addr) != 0};
  }
  return std::nullopt;
}

Status take(InheritedSockets& sockets, int descriptor, std::string_view name, std::uint32_t port) {
  const std::string handed_over = "descriptor " + std::to_string(descriptor) +
                                  (name.empty() ? "" : " (" + std::string(name) + ")") +
                                  ", handed over by systemd, is ";
  const auto bound = bound_to(descriptor);
  if (!bound) {
    return bad(handed_over + "no listening TCP socket: the .socket unit needs ListenStream=" +
               std::to_string(port) + " and ListenStream=" + std::to_string(port + 1));
  }
  const bool for_clients = bound->port == port;
  if (!for_clients && bound->port != port + 1) {
    return bad(handed_over + "a socket at port " + std::to_string(bound->port) +
               ", and this node's are " + std::to_string(port) + " (-port) and " +
               std::to_string(port + 1));
  }
  if (name == (for_clients ? peers_name : clients_name)) {
    return bad(handed_over + "a socket at port " + std::to_string(bound->port) +
               ", which is the one for " + std::string(for_clients ? clients_name : peers_name));
  }
  ::fcntl(descriptor, F_SETFD, FD_CLOEXEC);
  (for_clients ? sockets.clients : sockets.peers).push_back(descriptor);
  sockets.beyond_loopback = sockets.beyond_loopback || !bound->loopback;
  return Unit{};
}

std::string taken_from_environment(const char* name) {
  const char* text = std::getenv(name);
  std::string value = text == nullptr ? "" : text;
  ::unsetenv(name);
  return value;
}

}  // namespace

Result<InheritedSockets> inherited_sockets(const ListenVariables& variables, pid_t self,
                                           std::uint32_t port, int first) {
  InheritedSockets sockets;
  if (variables.count.empty() || variables.pid.empty()) return sockets;
  if (variables.pid != std::to_string(self)) {
    log(LogLevel::warn, "sockets of systemd are not taken: they are for another process",
        {{"LISTEN_PID", variables.pid},
         {"what_to_do", std::string("a script that starts this program does it with exec")}});
    return sockets;
  }
  const auto count = number_of(variables.count);
  if (!count || *count == 0 || *count > inherited_sockets_max) {
    return bad("LISTEN_FDS is \"" + variables.count + "\": it takes a number from 1 to " +
               std::to_string(inherited_sockets_max));
  }
  std::string_view names = variables.names;
  for (int i = 0; i < static_cast<int>(*count); ++i) {
    const Status taken = take(sockets, first + i, next_name(names), port);
    if (!taken) return unexpected(taken.error());
  }
  if (sockets.clients.empty() || sockets.peers.empty()) {
    const std::uint32_t missing = sockets.clients.empty() ? port : port + 1;
    return bad("systemd handed over no socket for port " + std::to_string(missing) +
               (missing == port ? " (-port)" : " (-port + 1)") +
               ": the .socket unit needs ListenStream=" + std::to_string(missing));
  }
  return sockets;
}

Result<InheritedSockets> take_inherited_sockets(std::uint32_t port) {
  ListenVariables variables;
  variables.pid = taken_from_environment("LISTEN_PID");
  variables.count = taken_from_environment("LISTEN_FDS");
  variables.names = taken_from_environment("LISTEN_FDNAMES");
  return inherited_sockets(variables, ::getpid(), port);
}

}  // namespace iris
