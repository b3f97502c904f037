// Bind check: can a port be listened on? gRPC only says that it cannot; a socket says why.
// Any thread; leaves nothing open. Resolves names, which may block: it is for the time before the
// loop runs.
#pragma once

#include <cstdint>
#include <string>

#include "raft/result.h"

struct addrinfo;

namespace iris {

// `host` empty: every interface. Errc::io with a sentence that names the port, and the flag.
[[nodiscard]] Status check_can_bind(const std::string& host, std::uint16_t port);
// The same where `host` stands for these. One that this machine does not have (::1 where IPv6 is
// off) is passed over, as gRPC does, where another is left.
[[nodiscard]] Status check_can_bind(const addrinfo* addresses, const std::string& host,
                                    std::uint16_t port);

}  // namespace iris
