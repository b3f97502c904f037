// UnaryCall: one RPC with one answer, from the moment it is asked for at gRPC to its last
// completion; UnaryMethod: all calls of one such RPC. What a call means is in values.cc and its
// neighbours. A call has one owner at a time: gRPC while an operation is started on it, else
// whoever was handed it by `handle`; it goes back by finish(). A method owns its calls; nothing is
// copied between request, handler and response. Loop thread.
#pragma once

#include <grpcpp/support/async_unary_call.h>

#include <asio/post.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "src/api/call_gate.h"
#include "src/api/completion.h"
#include "src/api/received.h"
#include "src/node/waiting_call.h"

namespace iris {

// A message that is kept for the next call may hold this much.
inline constexpr std::size_t kept_message_bytes_max = 16u << 10;

template <class Request, class Response>
class UnaryMethod;

template <class Request, class Response>
class UnaryCall final : public Completion, private ClientShares::Answer {
  Received<Request> received_;  // made before `request`, which is in it

 public:
  using Method = UnaryMethod<Request, Response>;

  explicit UnaryCall(Method& method) : method_(method) {}

  Request& request = received_.message;
  Response response;
  // Where the call waits in the node, if it does.
  WaitingCall waiting;

  [[nodiscard]] std::uint64_t remaining_ms() const {
    return iris::remaining_ms(exchange_->context);
  }
  void add_trailer(const std::string& name, const std::string& value) {
    exchange_->context.AddTrailingMetadata(name, value);
  }
  // Errc::limit where the client has not taken enough of its former answers for one more, and for
  // one of so many bytes.
  [[nodiscard]] Status may_read() const { return method_.gate_.shares().may_read(*share_); }
  [[nodiscard]] Status may_answer(std::size_t bytes) const {
    return method_.gate_.shares().may_answer(*share_, bytes);
  }
  // Answers with `response`, or with an error. The call belongs to gRPC from here on.
  void finish(const grpc::Status& status = grpc::Status::OK) {
    CHECK(stage_ == Stage::open);
    stage_ = Stage::finishing;
    if (method_.gate_.is_sealed()) {
      stage_ = Stage::finished;
      if (gone_seen_) asio::post(method_.gate_.loop(), [this] { method_.done(this); });
      return;
    }
    method_.gate_.shares().begin(*this, *share_, status.ok() ? response.ByteSizeLong() : 0,
                                 ClientShares::Patience::connection);
    if (status.ok()) {
      exchange_->writer.Finish(response, status, this);
    } else {
      exchange_->writer.FinishWithError(status, this);
    }
  }

 private:
  friend class UnaryMethod<Request, Response>;
  friend class CallEnd<UnaryCall>;
  enum class Stage { asked, open, finishing, finished };
  struct Exchange {
    grpc::ServerContext context;
    grpc::ServerAsyncResponseWriter<Response> writer{&context};
  };

  // ok: a client's call is here (while asked), or its answer was sent; else the server shuts down,
  // or the client is gone, which is the same to us.
  void completed(bool ok) override {
    if (stage_ == Stage::asked) return method_.arrived(this, ok);
    CHECK(stage_ == Stage::finishing);
    stage_ = Stage::finished;
    method_.gate_.shares().end(*this);
    if (gone_seen_) method_.done(this);
  }
  void gone() {
    gone_seen_ = true;
    if (stage_ == Stage::finished) return method_.done(this);
    if (stage_ == Stage::open) method_.abandon(*this);
  }
  void break_off() override { exchange_->context.TryCancel(); }

  Method& method_;
  std::optional<Exchange> exchange_;
  CallEnd<UnaryCall> end_{*this};
  Stage stage_ = Stage::asked;
  bool gone_seen_ = false;
  ClientShares::Share* share_ = nullptr;  // from its arrival on
  std::optional<CallGate::Visit> visit_;  // likewise
};

template <class Request, class Response>
class UnaryMethod final : public Method {
 public:
  using Call = UnaryCall<Request, Response>;

  struct Hooks {
    // Starts gRPC's operation.
    std::function<void(grpc::ServerContext*, Received<Request>*,
                       grpc::ServerAsyncResponseWriter<Response>*, void* tag)>
        ask;
    // Is given every call that comes, and must finish() it.
    std::function<void(Call&)> handle;
    // Finishes a call that is over a limit, or whose request is none.
    std::function<void(Call&, const Error&)> refuse;
    // The client of a call that is being handled is gone: it should be finished soon.
    std::function<void(Call&)> abandon;
  };

  UnaryMethod(CallGate& gate, CallLimits limits, Hooks hooks)
      : gate_(gate), limits_(limits), hooks_(std::move(hooks)) {}

  void start() override { refill(); }

 private:
  friend class UnaryCall<Request, Response>;

  void refill() {
    while (!gate_.is_shut() && asked_ < limits_.ahead) {
      std::unique_ptr<Call> call;
      if (spare_.empty()) {
        call = std::make_unique<Call>(*this);
      } else {
        call = std::move(spare_.back());
        spare_.pop_back();
      }
      call->exchange_.emplace();
      call->stage_ = Call::Stage::asked;
      call->gone_seen_ = false;
      ++asked_;
      gate_.enter();
      Call* raw = call.release();  // gRPC's now
      raw->exchange_->context.AsyncNotifyWhenDone(&raw->end_);
      hooks_.ask(&raw->exchange_->context, &raw->received_, &raw->exchange_->writer, raw);
    }
  }

  void arrived(Call* call, bool ok) {
    --asked_;
    ++open_;
    if (!ok) return done(call);  // never began: gone() will not be called
    call->stage_ = Call::Stage::open;
    call->share_ = &gate_.shares().enter(call->exchange_->context.peer());
    call->visit_.emplace(gate_);
    refill();
    if (open_ > limits_.open_max && call->share_->calls > calls_always_taken) {
      return hooks_.refuse(*call,
                           {Errc::limit, "over the limit of " + std::to_string(limits_.open_max) +
                                             " open calls of this method"});
    }
    if (const Status may = gate_.shares().may_call(*call->share_); !may) {
      return hooks_.refuse(*call, may.error());
    }
    if (!call->received_.parsed) return hooks_.refuse(*call, parse_error(call->request));
    hooks_.handle(*call);
  }

  void abandon(Call& call) {
    if (hooks_.abandon) hooks_.abandon(call);
  }

  void done(Call* raw) {
    std::unique_ptr<Call> call(raw);
    --open_;
    if (call->share_ != nullptr) gate_.shares().leave(*std::exchange(call->share_, nullptr));
    call->visit_.reset();
    if (!gate_.is_shut()) {
      call->exchange_.reset();
      reset(call->request);
      reset(call->response);
      if (spare_.size() < limits_.ahead) spare_.push_back(std::move(call));
      refill();
    }
    call.reset();
    gate_.leave();
  }

  // Cleared, a message keeps its buffers for the next call; great ones are given back.
  template <class Message>
  static void reset(Message& message) {
    if (message.ByteSizeLong() > kept_message_bytes_max) {
      Message().Swap(&message);
    } else {
      message.Clear();
    }
  }

  CallGate& gate_;
  const CallLimits limits_;
  const Hooks hooks_;
  std::size_t asked_ = 0;
  std::size_t open_ = 0;
  std::vector<std::unique_ptr<Call>> spare_;
};

}  // namespace iris
