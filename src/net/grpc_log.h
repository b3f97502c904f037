// GrpcLog: gRPC's own log lines become lines of ours. A failed TLS handshake becomes a limited
// warning with its reason, as nothing else shows a client whose certificate does not fit; gRPC does
// not tell its address. All other lines of gRPC are for debug.
// Any thread; once for the process.
#pragma once

#include <string>
#include <string_view>

namespace iris {

// From here on gRPC's lines go into our log.
void take_grpc_log();

// Why a handshake failed, where `line` of gRPC says that one did; else empty.
[[nodiscard]] std::string failed_handshake(std::string_view line);

}  // namespace iris
