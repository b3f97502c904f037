// Address: HOST:PORT as in flags and lists of members: "host:port", "192.0.2.1:32001",
// "[2001:db8::1]:32001".
// Any thread; pure. Checks the form only; the resolver knows whether a host exists.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "raft/result.h"

namespace iris {

inline constexpr std::size_t host_bytes_max = 253;  // of a DNS name
inline constexpr std::size_t address_bytes_max = host_bytes_max + sizeof("[]:65535") - 1;

struct Address {
  std::string host;  // without the brackets of an IPv6 address
  std::uint16_t port = 0;
};

// HOST:PORT or [IPV6]:PORT; ":PORT" is this host, 127.0.0.1. Errc::invalid_argument.
[[nodiscard]] Result<Address> parse_address(std::string_view text);
// Is it an address that names its host? An address that other nodes read must.
[[nodiscard]] bool is_full_address(std::string_view text);
// The inverse. Takes an IPv6 host with or without brackets.
[[nodiscard]] std::string address_text(std::string_view host, std::uint32_t port);
// The address of a node's gRPC port, which is one below its raft port; empty where the raft address
// is none.
[[nodiscard]] std::string grpc_address(std::string_view raft_address);
// A name or an IP address, without port or brackets.
[[nodiscard]] bool is_host(std::string_view text);
// The host of a flag: as is_host(); brackets around an IPv6 address are taken off.
// Errc::invalid_argument: the text says what a host looks like.
[[nodiscard]] Result<std::string> parse_host(std::string_view text);
// The host of -listen: as parse_host(), and an IPv6 address may name its interface (fe80::1%eth0),
// which means something on this machine only.
[[nodiscard]] Result<std::string> parse_listen_host(std::string_view text);
// Any form of the address that means all interfaces of this host: fit to listen on, not to connect
// to.
[[nodiscard]] bool is_wildcard(std::string_view host);

}  // namespace iris
