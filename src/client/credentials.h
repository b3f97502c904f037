// The addresses and PEM files of a client, checked at its start, before anything is dialled,
// with one sentence for each thing that can be wrong with them. gRPC itself would take them all and
// then fail every call without saying which file it was. Any thread; owns nothing. Never logs a
// key.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "src/client/client.h"

namespace grpc {
class ChannelCredentials;
}

namespace iris::client {

inline constexpr std::string_view default_port = "32000";

// host:port as it is dialled: "" is this host, a missing port is 32000. invalid_argument otherwise.
[[nodiscard]] Result<std::string> dialled_address(std::string_view address);

// Reads the three files and checks that they belong together and are in date.
[[nodiscard]] Result<std::shared_ptr<grpc::ChannelCredentials>> credentials(
    const std::optional<Tls>& tls);

}  // namespace iris::client
