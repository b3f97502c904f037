#include "src/base/address.h"

#include <arpa/inet.h>

#include <algorithm>
#include <utility>

namespace iris {
namespace {

// The host of an address (empty in ":PORT") and its port, or what is wrong with it.
struct Parts {
  std::string_view host;
  std::uint32_t port = 0;
  const char* wrong = nullptr;
};

Parts wrong(const char* text) { return {.host = {}, .port = 0, .wrong = text}; }

Parts split(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return wrong("it has no port (HOST:PORT)");
  std::string_view host = text.substr(0, colon);
  const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);
  if (bracketed != (host.find(':') != std::string_view::npos)) {
    return wrong("an IPv6 address stands in brackets ([::1]:32000)");
  }
  if (!host.empty() && !is_host(host)) return wrong("it takes HOST:PORT");
  std::uint32_t port = 0;
  for (const char digit : text.substr(colon + 1)) {
    if (digit < '0' || digit > '9' || port > 65535) return wrong("its port is not a number");
    port = port * 10 + static_cast<std::uint32_t>(digit - '0');
  }
  if (port == 0 || port > 65535) return wrong("its port is not a number from 1 to 65535");
  return {.host = host, .port = port};
}

constexpr std::size_t interface_bytes_max = 15;  // of a name in Linux

std::string_view without_brackets(std::string_view host) {
  const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  return bracketed ? host.substr(1, host.size() - 2) : host;
}

bool is_ipv6(std::string_view host) {
  in6_addr address{};
  return ::inet_pton(AF_INET6, std::string(host).c_str(), &address) == 1;
}

}  // namespace

std::string grpc_address(std::string_view raft_address) {
  const auto address = parse_address(raft_address);
  if (!address) return {};
  return address_text(address->host, address->port - 1u);
}

bool is_host(std::string_view text) {
  if (text.empty() || text.size() > host_bytes_max) return false;
  const auto fits = [](char byte) {
    return byte > ' ' && byte < 0x7f &&
           std::string_view("/[]@").find(byte) == std::string_view::npos;
  };
  if (!std::all_of(text.begin(), text.end(), fits)) return false;
  return text.find(':') == std::string_view::npos || is_ipv6(text);
}

Result<std::string> parse_host(std::string_view text) {
  text = without_brackets(text);
  if (!is_host(text)) {
    return fail(Errc::invalid_argument, "a host name or address without a port");
  }
  return std::string(text);
}

Result<std::string> parse_listen_host(std::string_view text) {
  text = without_brackets(text);
  const std::size_t scope = text.find('%');
  if (scope == std::string_view::npos || !is_ipv6(text.substr(0, scope))) return parse_host(text);
  const std::string_view interface = text.substr(scope + 1);
  const bool fits = !interface.empty() && interface.size() <= interface_bytes_max &&
                    interface.find_first_of("%/[]@ ") == std::string_view::npos;
  if (!fits) return fail(Errc::invalid_argument, "an interface after the % (fe80::1%eth0)");
  return std::string(text);
}

bool is_wildcard(std::string_view host) {
  const std::string text(host);
  in_addr v4{};
  in6_addr v6{};
  // inet_aton() reads what resolvers read: "0" too.
  if (::inet_aton(text.c_str(), &v4) != 0) return v4.s_addr == INADDR_ANY;
  return ::inet_pton(AF_INET6, text.c_str(), &v6) == 1 && IN6_IS_ADDR_UNSPECIFIED(&v6);
}

Result<Address> parse_address(std::string_view text) {
  const Parts parts = split(text);
  if (parts.wrong != nullptr) return fail(Errc::invalid_argument, parts.wrong);
  return Address{parts.host.empty() ? "127.0.0.1" : std::string(parts.host),
                 static_cast<std::uint16_t>(parts.port)};
}

bool is_full_address(std::string_view text) {
  const Parts parts = split(text);
  return parts.wrong == nullptr && !parts.host.empty();
}

std::string address_text(std::string_view host, std::uint32_t port) {
  const bool bare_ipv6 = host.find(':') != std::string_view::npos && host.front() != '[';
  return (bare_ipv6 ? "[" + std::string(host) + "]" : std::string(host)) + ":" +
         std::to_string(port);
}

}  // namespace iris
