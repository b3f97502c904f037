// CallGate: the door of one server for all its calls, how many of each kind may be inside, and how
// long they may take.
// Loop thread.
#pragma once

#include <grpcpp/server_context.h>

#include <asio/io_context.hpp>
#include <asio/post.hpp>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <utility>

#include "raft/check.h"

namespace iris {

// A call without a deadline waits this long for a leader.
inline constexpr std::uint64_t default_deadline_ms = 5'000;
// No call waits longer, whatever its deadline.
inline constexpr std::uint64_t deadline_ms_max = 3'600'000;
// How long a handler may take, in ms from now: a little less than the client waits, so that it gets
// our answer, which says more than a deadline that passed.
[[nodiscard]] std::uint64_t remaining_ms(const grpc::ServerContext& context);

// Opens and shuts the door for all calls of one server, and knows how many are inside.
class CallGate {
 public:
  explicit CallGate(asio::io_context& loop) : loop_(loop) {}
  [[nodiscard]] asio::io_context& loop() { return loop_; }

  // Before the server is shut down: nothing new is asked for.
  void shut() { shut_ = true; }
  // Before the completion queue is shut down: no operation at all may be started any more. What is
  // still inside ends without gRPC.
  void seal() { shut_ = sealed_ = true; }
  [[nodiscard]] bool is_shut() const { return shut_; }
  [[nodiscard]] bool is_sealed() const { return sealed_; }

  void enter() { ++calls_; }
  void leave() {
    CHECK(calls_ > 0);
    if (--calls_ == 0 && on_empty_) asio::post(loop_, std::exchange(on_empty_, nullptr));
  }
  // `done`, posted, once no call is asked for, open or being answered.
  void when_empty(std::function<void()> done) {
    CHECK(!on_empty_);
    if (calls_ == 0) return asio::post(loop_, std::move(done));
    on_empty_ = std::move(done);
  }

 private:
  asio::io_context& loop_;
  bool shut_ = false;
  bool sealed_ = false;
  std::size_t calls_ = 0;
  std::function<void()> on_empty_;
};

// How many calls of a method wait at gRPC for clients (measured: 200 for the busy ones), and how
// many clients may be inside; more wait at gRPC until one leaves or their time is over.
struct CallLimits {
  std::size_t ahead = 16;
  std::size_t open_max = 1'000;
};

// One RPC of a service, whatever its messages.
class Method {
 public:
  virtual ~Method() = default;
  // Asks gRPC for the first calls. The method outlives all its calls.
  virtual void start() = 0;
};

}  // namespace iris
