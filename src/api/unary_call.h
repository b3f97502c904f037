// UnaryCall: one RPC with one answer, from the moment it is asked for at gRPC to its last
// completion; UnaryMethod: all calls of one such RPC. What a call means is in values.cc and its
// neighbours. A call has one owner at a time: gRPC while an operation is started on it, else
// whoever was handed it by `handle`; it goes back by finish(). A method owns its calls; nothing is
// copied between request, handler and response. Loop thread.
#pragma once

#include <grpcpp/support/async_unary_call.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "src/api/call_gate.h"
#include "src/api/completion.h"

namespace iris {

// A message that is kept for the next call may hold this much.
inline constexpr std::size_t kept_message_bytes_max = 16u << 10;

template <class Request, class Response>
class UnaryMethod;

template <class Request, class Response>
class UnaryCall final : public Completion {
 public:
  explicit UnaryCall(UnaryMethod<Request, Response>& method) : method_(method) {}

  Request request;
  Response response;

  [[nodiscard]] std::uint64_t remaining_ms() const {
    return iris::remaining_ms(exchange_->context);
  }
  void add_trailer(const std::string& name, const std::string& value) {
    exchange_->context.AddTrailingMetadata(name, value);
  }
  // Answers with `response`, or with an error. The call belongs to gRPC from here on.
  void finish(const grpc::Status& status = grpc::Status::OK) {
    if (method_.gate_.is_sealed()) return method_.done(this);
    if (status.ok()) {
      exchange_->writer.Finish(response, status, this);
    } else {
      exchange_->writer.FinishWithError(status, this);
    }
  }

 private:
  friend class UnaryMethod<Request, Response>;
  struct Exchange {
    grpc::ServerContext context;
    grpc::ServerAsyncResponseWriter<Response> writer{&context};
  };

  // ok: a client's call is here (while asked), or its answer was sent; else the server shuts down,
  // or the client is gone, which is the same to us.
  void completed(bool ok) override {
    if (!asked_) return method_.done(this);
    asked_ = false;
    method_.arrived(this, ok);
  }

  UnaryMethod<Request, Response>& method_;
  std::optional<Exchange> exchange_;
  bool asked_ = false;
};

template <class Request, class Response>
class UnaryMethod final : public Method {
 public:
  using Call = UnaryCall<Request, Response>;
  using Ask = std::function<void(grpc::ServerContext*, Request*,
                                 grpc::ServerAsyncResponseWriter<Response>*, void* tag)>;
  using Handle = std::function<void(Call&)>;

  // `ask` starts gRPC's operation; `handle` is given every call that comes and must finish() it.
  UnaryMethod(CallGate& gate, CallLimits limits, Ask ask, Handle handle)
      : gate_(gate), limits_(limits), ask_(std::move(ask)), handle_(std::move(handle)) {}

  void start() override { refill(); }

 private:
  friend class UnaryCall<Request, Response>;

  void refill() {
    while (!gate_.is_shut() && asked_ < limits_.ahead && asked_ + open_ < limits_.open_max) {
      std::unique_ptr<Call> call;
      if (spare_.empty()) {
        call = std::make_unique<Call>(*this);
      } else {
        call = std::move(spare_.back());
        spare_.pop_back();
      }
      call->exchange_.emplace();
      call->asked_ = true;
      ++asked_;
      gate_.enter();
      Call* raw = call.release();  // gRPC's now
      ask_(&raw->exchange_->context, &raw->request, &raw->exchange_->writer, raw);
    }
  }

  void arrived(Call* call, bool ok) {
    --asked_;
    ++open_;
    if (!ok) return done(call);
    refill();
    handle_(*call);
  }

  void done(Call* raw) {
    std::unique_ptr<Call> call(raw);
    --open_;
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
  const Ask ask_;
  const Handle handle_;
  std::size_t asked_ = 0;
  std::size_t open_ = 0;
  std::vector<std::unique_ptr<Call>> spare_;
};

}  // namespace iris
