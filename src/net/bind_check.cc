#include "src/net/bind_check.h"

#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>

namespace iris {
namespace {

bool is_every_interface(const addrinfo& address) {
  return address.ai_family == AF_INET6 &&
         IN6_IS_ADDR_UNSPECIFIED(
             &reinterpret_cast<const sockaddr_in6*>(address.ai_addr)->sin6_addr);
}

// 0, or errno.
int bind_once(const addrinfo& address) {
  const int socket = ::socket(address.ai_family, address.ai_socktype, address.ai_protocol);
  if (socket < 0) return EADDRNOTAVAIL;  // this host does not speak that family
  const int on = 1;
  ::setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (address.ai_family == AF_INET6) {
    const int v6_only = is_every_interface(address) ? 0 : 1;
    ::setsockopt(socket, IPPROTO_IPV6, IPV6_V6ONLY, &v6_only, sizeof v6_only);
  }
  const int why = ::bind(socket, address.ai_addr, address.ai_addrlen) == 0 ? 0 : errno;
  ::close(socket);
  return why;
}

}  // namespace

Status check_can_bind(const addrinfo* addresses, const std::string& host, std::uint16_t port) {
  int missing = 0;
  bool bound = false;
  for (const addrinfo* address = addresses; address != nullptr; address = address->ai_next) {
    const int why = bind_once(*address);
    bound = bound || why == 0;
    if (why == 0) continue;
    missing = why;
    if (why != EADDRNOTAVAIL) break;
  }
  if (missing == 0 || (missing == EADDRNOTAVAIL && bound)) return Unit{};
  return fail(Errc::io,
              "cannot listen on port " + std::to_string(port) +
                  (host.empty() ? "" : " of " + host) + " (flag -port): " +
                  (missing == EADDRINUSE ? "another process has it" : std::strerror(missing)));
}

Status check_can_bind(const std::string& host, std::uint16_t port) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const int error = ::getaddrinfo(host.empty() ? nullptr : host.c_str(),
                                  std::to_string(port).c_str(), &hints, &found);
  if (error != 0) {
    return fail(Errc::io, "cannot listen on host " + host + ": " + ::gai_strerror(error));
  }
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> addresses(found, ::freeaddrinfo);
  return check_can_bind(found, host, port);
}

}  // namespace iris
