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
#include "src/api/client_shares.h"
#include "src/api/completion.h"

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
  // One call of a client, from its arrival until it is over.
  class Visit {
   public:
    explicit Visit(CallGate& gate) : gate_(gate), late_(gate.draining_) {
      if (!late_) ++gate_.visits_;
    }
    ~Visit() {
      if (!late_) gate_.end_visit();
    }
    Visit(const Visit&) = delete;
    Visit& operator=(const Visit&) = delete;

   private:
    CallGate& gate_;
    const bool late_;  // came when the gate was being drained
  };

  explicit CallGate(asio::io_context& loop, ClientShareLimits limits = {})
      : loop_(loop), shares_(limits) {}
  [[nodiscard]] asio::io_context& loop() { return loop_; }
  [[nodiscard]] ClientShares& shares() { return shares_; }

  // Before shut(): `done`, posted, once every call that is here now is over. Calls that come later
  // are still let in, so that they get an answer, and are not waited for.
  void drain(std::function<void()> done) {
    CHECK(!draining_);
    draining_ = true;
    on_drained_ = std::move(done);
    if (visits_ == 0) asio::post(loop_, std::exchange(on_drained_, nullptr));
  }
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
  void end_visit() {
    CHECK(visits_ > 0);
    if (--visits_ == 0 && on_drained_) asio::post(loop_, std::exchange(on_drained_, nullptr));
  }

  asio::io_context& loop_;
  ClientShares shares_;
  bool draining_ = false;
  std::size_t visits_ = 0;  // that began before
  std::function<void()> on_drained_;
  bool shut_ = false;
  bool sealed_ = false;
  std::size_t calls_ = 0;
  std::function<void()> on_empty_;
};

// How many calls of a method wait at gRPC for clients, and how many may be inside. A call over a
// limit is refused at once: it must not wait at gRPC, where the calls of all clients are in one
// queue.
struct CallLimits {
  std::size_t ahead = 16;
  std::size_t open_max = 1'000;
  // Of streams, those of one connection; 0: they count for no connection, and are bounded
  // elsewhere.
  std::size_t connection_max = 0;
};
// A connection with so few calls inside is served even where a method is full, so that connections
// which hold all there is shut out nobody.
inline constexpr std::size_t calls_always_taken = 16;
inline constexpr std::size_t streams_always_taken = 2;  // of one method

// gRPC tells of the end of a call, finished by us or cancelled, by a tag of its own.
template <class Call>
class CallEnd final : public Completion {
 public:
  explicit CallEnd(Call& call) : call_(call) {}

 private:
  void completed(bool) override { call_.gone(); }
  Call& call_;
};

// One RPC of a service, whatever its messages.
class Method {
 public:
  virtual ~Method() = default;
  // Asks gRPC for the first calls. The method outlives all its calls.
  virtual void start() = 0;
};

}  // namespace iris
