// One call to the cluster: which node, how often again, and what its end means. Any thread; blocks
// its caller. Borrows the pool. Never repeats a write that may have happened.
#pragma once

#include <chrono>
#include <functional>
#include <optional>

#include "src/base/abort.h"
#include "src/client/client.h"
#include "src/client/pool.h"

namespace iris::client {

// Whether a call is sent again when its outcome is unknown. Reads and calls that have the same
// effect twice as once are; writes are not.
enum class Repeat { always, unless_unknown };

struct CallPlan {
  Repeat repeat = Repeat::always;
  std::chrono::milliseconds timeout{};
  Node* only = nullptr;    // that node or none
  Abort* abort = nullptr;  // outlives the call
};

// Sends one attempt to a node. Called again for the next attempt: it must begin afresh.
using Attempt = std::function<grpc::Status(Node& node, grpc::ClientContext& context)>;

// nullopt: it was done and `attempt` has the answer.
[[nodiscard]] std::optional<Error> call(Pool& pool, const CallPlan& plan, const Attempt& attempt);

}  // namespace iris::client
