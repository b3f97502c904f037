// WaitingCall: where in the node a call waits, in the hands of whoever made the call, so that a
// call that nobody wants any more can be given up before its deadline (Node::abandon()). Loop
// thread. The node keeps it true until it answers the call; the owner outlives that answer.
#pragma once

#include <cstdint>
#include <utility>

#include "src/node/waiters.h"

namespace iris {

struct WaitingCall {
  enum class Kind : std::uint8_t { none, read, write };  // none: not in the node, or answered
  Kind kind = Kind::none;
  WaiterHandle handle;
};

// Adds the call to its table and says where it waits, where somebody wants to know. A Call has a
// member `waiting`, which may be nullptr.
template <class Call>
WaiterHandle add_waiting(Waiters<Call>& calls, WaitingCall::Kind kind, Call call,
                         std::uint64_t deadline) {
  WaitingCall* waiting = call.waiting;
  const WaiterHandle handle = calls.add(std::move(call), deadline);
  if (waiting != nullptr) *waiting = {kind, handle};
  return handle;
}

}  // namespace iris
