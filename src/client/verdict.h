// Verdict: the meaning of the end of an attempt: done, not done, or unknown. Any thread; pure.
#pragma once

#include <grpcpp/support/status.h>

#include <string>

#include "src/client/client.h"

namespace iris::client {

struct Verdict {
  enum class Kind { done, final, not_done, unknown };
  Kind kind = Kind::done;
  Code code = Code::unknown;  // where final
};

// A node answers a request that is over a limit with INVALID_ARGUMENT, as one that is malformed,
// but names the flag of the limit.
[[nodiscard]] inline bool is_over_limit(const grpc::Status& status) {
  return status.error_message().find("(server flag -max-") != std::string::npos;
}

// `said_not_done`: the node sent the trailer that says so (src/base/trailers.h).
[[nodiscard]] inline Verdict judge(const grpc::Status& status, bool said_not_done) {
  using Kind = Verdict::Kind;
  switch (status.error_code()) {
    case grpc::StatusCode::OK:
      return {Kind::done};
    case grpc::StatusCode::INVALID_ARGUMENT:
      return {Kind::final, is_over_limit(status) ? Code::too_long : Code::invalid_argument};
    case grpc::StatusCode::OUT_OF_RANGE:
      return {Kind::final, Code::invalid_argument};
    case grpc::StatusCode::NOT_FOUND:
      return {Kind::final, Code::not_found};
    case grpc::StatusCode::ABORTED:
    case grpc::StatusCode::ALREADY_EXISTS:
      return {Kind::final, Code::conflict};
    case grpc::StatusCode::RESOURCE_EXHAUSTED:
      return {Kind::final, Code::limit};
    case grpc::StatusCode::FAILED_PRECONDITION:
      return {Kind::final, Code::not_now};
    case grpc::StatusCode::PERMISSION_DENIED:
    case grpc::StatusCode::UNAUTHENTICATED:
      return {Kind::final, Code::refused};
    case grpc::StatusCode::UNIMPLEMENTED:
      return {Kind::final, Code::unsupported};
    // UNAVAILABLE without the trailer is a connection that broke with the call on it. The rest says
    // nothing of what was done before it went wrong.
    default:
      return {said_not_done ? Kind::not_done : Kind::unknown};
  }
}

}  // namespace iris::client
