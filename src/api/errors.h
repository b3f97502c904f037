// Errors: the errors of the house as gRPC tells them to clients.
// Any thread; values.
#pragma once

#include <grpcpp/support/status.h>

#include <optional>

#include "raft/result.h"
#include "src/machine/machine.h"

namespace iris {

[[nodiscard]] grpc::Status to_grpc(const Error& error);

// Was the call certainly not carried out, so that it may be sent again as it is?
[[nodiscard]] bool not_done(Errc code);

// Why an applied command did not do what it says; nothing where it did.
[[nodiscard]] std::optional<Error> objection(const Outcome& outcome);

}  // namespace iris
