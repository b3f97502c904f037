#include "src/net/own_address.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <optional>

namespace iris {
namespace {

using AddressList = std::unique_ptr<addrinfo, void (*)(addrinfo*)>;

Result<AddressList> resolve(const std::string& host, std::uint16_t port, int flags) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_DGRAM;
  hints.ai_flags = AI_NUMERICSERV | flags;
  addrinfo* found = nullptr;
  const int error = ::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found);
  if (error != 0) return fail(Errc::io, host + ": " + ::gai_strerror(error));
  return AddressList(found, ::freeaddrinfo);
}

class Socket {
 public:
  explicit Socket(const addrinfo& address)
      : descriptor_(::socket(address.ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {}
  ~Socket() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;
  [[nodiscard]] int descriptor() const { return descriptor_; }

 private:
  int descriptor_;
};

// The host a socket is bound to.
std::optional<std::string> local_host(int descriptor) {
  sockaddr_storage bound{};
  socklen_t length = sizeof bound;
  auto* address = reinterpret_cast<sockaddr*>(&bound);
  if (::getsockname(descriptor, address, &length) != 0) return std::nullopt;
  return dialled_host(address, length);
}

std::string own_host(const OwnAddressHints& hints) {
  if (!hints.advertise.empty()) return hints.advertise;
  // One with an interface (fe80::1%eth0) is for this machine only.
  if (is_host(hints.listen) && hints.listen.find('%') == std::string::npos &&
      !is_wildcard(hints.listen)) {
    return hints.listen;
  }
  std::string recorded;
  if (const auto address = parse_address(hints.recorded)) recorded = address->host;
  if (!recorded.empty() && (!is_numeric_host(recorded) || is_local_address(recorded)))
    return recorded;
  for (const std::string& text : hints.towards) {
    const auto target = parse_address(text);
    if (!target) continue;
    if (auto source = source_address(*target)) return *source;
  }
  return recorded.empty() ? hints.otherwise : recorded;
}

}  // namespace

std::optional<std::string> dialled_host(const sockaddr* address, socklen_t length) {
  std::array<char, NI_MAXHOST> host{};
  if (::getnameinfo(address, length, host.data(), host.size(), nullptr, 0, NI_NUMERICHOST) != 0) {
    return std::nullopt;
  }
  const std::string text(host.data());
  if (!is_host(text)) return std::nullopt;
  return text;
}

std::vector<std::string> ipv4_addresses(const std::string& name) {
  std::vector<std::string> hosts;
  const auto addresses = resolve(name, 0, 0);
  if (!addresses) return hosts;
  for (const addrinfo* each = addresses->get(); each != nullptr; each = each->ai_next) {
    if (each->ai_family != AF_INET) continue;
    if (auto host = dialled_host(each->ai_addr, each->ai_addrlen)) hosts.push_back(*host);
  }
  return hosts;
}

Result<std::string> source_address(const Address& target) {
  const auto addresses = resolve(target.host, target.port, 0);
  if (!addresses) return unexpected(addresses.error());
  std::string why = "no address";
  for (const addrinfo* each = addresses->get(); each != nullptr; each = each->ai_next) {
    const Socket socket(*each);
    // Of a datagram socket this sends nothing: it only chooses the way.
    if (socket.descriptor() < 0 ||
        ::connect(socket.descriptor(), each->ai_addr, each->ai_addrlen) != 0) {
      why = std::strerror(errno);
    } else if (auto host = local_host(socket.descriptor())) {
      return *host;
    } else {
      why = "no address that others could dial";
    }
  }
  return fail(Errc::io, "no way to " + target.host + ": " + why);
}

bool is_numeric_host(const std::string& host) {
  return static_cast<bool>(resolve(host, 1, AI_NUMERICHOST));
}

bool is_local_address(const std::string& host) {
  const auto addresses = resolve(host, 0, AI_NUMERICHOST);
  if (!addresses) return false;
  const Socket socket(**addresses);
  return ::bind(socket.descriptor(), (*addresses)->ai_addr, (*addresses)->ai_addrlen) == 0;
}

bool is_loopback(const std::string& host) {
  in_addr v4{};
  if (::inet_pton(AF_INET, host.c_str(), &v4) == 1) return (ntohl(v4.s_addr) >> 24) == 127;
  return host == "localhost" || host == "::1";
}

std::string own_raft_address(const OwnAddressHints& hints, std::uint32_t raft_port) {
  return address_text(own_host(hints), raft_port);
}

}  // namespace iris
