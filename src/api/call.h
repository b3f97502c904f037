// Calls: one object for each RPC that is asked for, open, or being answered. gRPC's side of a call
// is here, what it means is in values.cc and its neighbours. A call has one owner at a time: gRPC
// while an operation is started on it, else whoever was handed it by `handle`; it goes back by
// finish(). Loop thread, but for what a handler lends out itself. A method owns its calls; nothing
// is copied between request, handler and response.
#pragma once

#include <grpcpp/server_context.h>
#include <grpcpp/support/async_stream.h>
#include <grpcpp/support/async_unary_call.h>

#include <asio/io_context.hpp>
#include <asio/post.hpp>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "raft/check.h"
#include "src/api/completion.h"

namespace iris {

// A call without a deadline waits this long for a leader.
inline constexpr std::uint64_t default_deadline_ms = 5'000;
// No call waits longer, whatever its deadline.
inline constexpr std::uint64_t deadline_ms_max = 3'600'000;
// Messages that are kept for the next call may hold this much.
inline constexpr std::size_t kept_message_bytes_max = 16u << 10;

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

// So many rows of a stream may be held back until they fill a packet. Each costs a turn through
// queue and loop: where these are slow, 64 KiB of small rows take seconds, and a client that hears
// nothing for so long gives the stream up, again and again.
inline constexpr std::size_t rows_held_max = 16;

// Which rows of a stream may wait to share a packet with the next.
class RowPacking {
 public:
  // `more`: another row follows at once.
  [[nodiscard]] bool may_wait(bool more) {
    // Never the first: it carries the initial metadata, and gRPC 1.51 holds both back until
    // something else is written, without an end to the operation.
    const bool waits = more && std::exchange(begun_, true) && held_ < rows_held_max;
    begun_ = true;
    held_ = waits ? held_ + 1 : 0;
    return waits;
  }

 private:
  bool begun_ = false;  // something was written
  std::size_t held_ = 0;
};

template <class Request, class Row>
class StreamMethod;

// What serves one call that is answered by a stream. Made when the call comes, destroyed when gRPC
// is done with it. Must finish() its call exactly once.
template <class Request, class Row>
class StreamHandler {
 public:
  virtual ~StreamHandler() = default;
  // The row given to write() is with gRPC; the next may follow. Not ok: the client is gone, and
  // only finish() makes sense.
  virtual void written(bool ok) = 0;
  // The client went away or its deadline passed, while no write was under way: no write() after
  // this, only finish().
  virtual void cancelled() = 0;
};

template <class Request, class Row>
class StreamCall final : public Completion {
 public:
  explicit StreamCall(StreamMethod<Request, Row>& method) : method_(method) {}

  Request request;

  [[nodiscard]] std::uint64_t remaining_ms() const { return iris::remaining_ms(context_); }
  void add_trailer(const std::string& name, const std::string& value) {
    context_.AddTrailingMetadata(name, value);
  }
  [[nodiscard]] bool writing() const { return state_ == State::writing; }
  // `more`: another row follows at once, so this one may wait to share a packet with it.
  // REQUIRES: !writing(), neither cancelled() nor finish() was called.
  void write(const Row& row, bool more) {
    CHECK(state_ == State::open && !gone_seen_);
    state_ = State::writing;
    dropped_ = method_.gate_.is_sealed();
    if (dropped_) return;  // gone() will say that it was lost
    writer_.Write(
        row,
        packing_.may_wait(more) ? grpc::WriteOptions().set_buffer_hint() : grpc::WriteOptions(),
        this);
  }
  // REQUIRES: !writing(), finish() was not called.
  void finish(const grpc::Status& status) {
    CHECK(state_ == State::open);
    state_ = State::finishing;
    if (!method_.gate_.is_sealed()) return writer_.Finish(status, this);
    state_ = State::finished;
    if (gone_seen_) asio::post(method_.gate_.loop(), [this] { method_.done(this); });
  }
  // Breaks off a call whose client does not read; written() or cancelled() follow.
  void cancel() { context_.TryCancel(); }

 private:
  friend class StreamMethod<Request, Row>;
  enum class State { asked, open, writing, finishing, finished };

  // gRPC tells of the end of a call by a tag of its own.
  class Gone final : public Completion {
   public:
    explicit Gone(StreamCall& call) : call_(call) {}

   private:
    void completed(bool) override { call_.gone(); }
    StreamCall& call_;
  };

  void completed(bool ok) override {
    switch (state_) {
      case State::asked:
        state_ = State::open;
        return method_.arrived(this, ok);
      case State::writing:
        state_ = State::open;
        return handler_->written(ok && !gone_seen_);
      case State::finishing:
        state_ = State::finished;
        if (gone_seen_) method_.done(this);
        return;
      case State::open:
      case State::finished:
        CHECK(false);
    }
  }

  // The call is over: finished by us (then this tells nothing new), or cancelled.
  void gone() {
    gone_seen_ = true;
    if (state_ == State::finished) return method_.done(this);
    if (state_ == State::open) return handler_->cancelled();
    if (state_ == State::writing && dropped_) {
      state_ = State::open;
      handler_->written(false);
    }
  }

  StreamMethod<Request, Row>& method_;
  grpc::ServerContext context_;
  grpc::ServerAsyncWriter<Row> writer_{&context_};
  Gone gone_{*this};
  State state_ = State::asked;
  RowPacking packing_;
  bool gone_seen_ = false;
  bool dropped_ = false;  // the write under way was never started: the server is down
  std::unique_ptr<StreamHandler<Request, Row>> handler_;
};

template <class Request, class Row>
class StreamMethod final : public Method {
 public:
  using Call = StreamCall<Request, Row>;
  using Handler = StreamHandler<Request, Row>;
  using Ask =
      std::function<void(grpc::ServerContext*, Request*, grpc::ServerAsyncWriter<Row>*, void* tag)>;
  // Begins to serve a call. The call outlives the handler.
  using Handle = std::function<std::unique_ptr<Handler>(Call&)>;

  StreamMethod(CallGate& gate, CallLimits limits, Ask ask, Handle handle)
      : gate_(gate), limits_(limits), ask_(std::move(ask)), handle_(std::move(handle)) {}

  void start() override { refill(); }

 private:
  friend class StreamCall<Request, Row>;

  void refill() {
    while (!gate_.is_shut() && asked_ < limits_.ahead && asked_ + open_ < limits_.open_max) {
      Call* call = std::make_unique<Call>(*this).release();  // gRPC's now
      ++asked_;
      gate_.enter();
      call->context_.AsyncNotifyWhenDone(&call->gone_);
      ask_(&call->context_, &call->request, &call->writer_, call);
    }
  }

  void arrived(Call* call, bool ok) {
    --asked_;
    ++open_;
    if (!ok) return done(call);  // never began: gone() will not be called
    refill();
    call->handler_ = handle_(*call);
  }

  void done(Call* raw) {
    std::unique_ptr<Call> call(raw);
    --open_;
    call.reset();
    refill();
    gate_.leave();
  }

  CallGate& gate_;
  const CallLimits limits_;
  const Ask ask_;
  const Handle handle_;
  std::size_t asked_ = 0;
  std::size_t open_ = 0;
};

}  // namespace iris
