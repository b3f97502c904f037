// StreamCall: one RPC that is answered by a stream of rows, from the moment it is asked for at gRPC
// to its last completion; StreamMethod: all calls of one such RPC; StreamHandler: who serves a
// call. A call has one owner at a time: gRPC while an operation is started on it, else whoever was
// handed it by `handle`; it goes back by finish(). A method owns its calls; nothing is copied
// between request, handler and response. Loop thread.
#pragma once

#include <grpcpp/support/async_stream.h>

#include <asio/post.hpp>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <unordered_map>
#include <utility>

#include "src/api/call_gate.h"
#include "src/api/completion.h"
#include "src/api/received.h"

namespace iris {

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
class StreamCall final : public Completion, private ClientShares::Answer {
  Received<Request> received_;  // made before `request`, which is in it

 public:
  using Method = StreamMethod<Request, Row>;

  explicit StreamCall(Method& method) : method_(method) {}

  Request& request = received_.message;

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
    if (share_ != nullptr) begin_answer(row);
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
  // The row under way is the last: from here on the client must take it within two sweeps, also in
  // a stream that counts for no connection. REQUIRES: writing()
  void expect_end() {
    CHECK(state_ == State::writing);
    if (answering_ || dropped_) return;
    count();
    method_.gate_.shares().begin(*this, *share_, 0, ClientShares::Patience::answer);
    answering_ = true;
  }

 private:
  friend class StreamMethod<Request, Row>;
  friend class CallEnd<StreamCall>;
  enum class State { asked, open, writing, finishing, finished };

  void count() {
    if (share_ == nullptr) share_ = &method_.gate_.shares().enter(context_.peer());
  }
  void begin_answer(const Row& row) {
    method_.gate_.shares().begin(*this, *share_, bytes_of(row), ClientShares::Patience::answer);
    answering_ = true;
  }
  void end_answer() {
    if (std::exchange(answering_, false)) method_.gate_.shares().end(*this);
  }
  static std::size_t bytes_of(const Row& row) {
    if constexpr (std::is_same_v<Row, grpc::ByteBuffer>) {
      return row.Length();
    } else {
      return row.ByteSizeLong();
    }
  }
  // written() or cancelled() follow.
  void break_off() override { context_.TryCancel(); }

  void completed(bool ok) override {
    switch (state_) {
      case State::asked:
        state_ = State::open;
        return method_.arrived(this, ok);
      case State::writing:
        state_ = State::open;
        end_answer();
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

  Method& method_;
  grpc::ServerContext context_;
  grpc::ServerAsyncWriter<Row> writer_{&context_};
  CallEnd<StreamCall> end_{*this};
  State state_ = State::asked;
  RowPacking packing_;
  bool gone_seen_ = false;
  bool answering_ = false;                // counted in its share
  ClientShares::Share* share_ = nullptr;  // from its arrival on, where its method counts
  std::optional<CallGate::Visit> visit_;  // from its arrival on
  bool dropped_ = false;  // the write under way was never started: the server is down
  std::unique_ptr<StreamHandler<Request, Row>> handler_;
};

template <class Request, class Row>
class StreamMethod final : public Method {
 public:
  using Call = StreamCall<Request, Row>;
  using Handler = StreamHandler<Request, Row>;
  using Ask = std::function<void(grpc::ServerContext*, Received<Request>*,
                                 grpc::ServerAsyncWriter<Row>*, void* tag)>;
  // Begins to serve a call. The call outlives the handler.
  using Handle = std::function<std::unique_ptr<Handler>(Call&)>;
  // Finishes a call that is over a limit, or whose request is none.
  using Refuse = std::function<void(Call&, const Error&)>;

  StreamMethod(CallGate& gate, CallLimits limits, Ask ask, Handle handle, Refuse refuse)
      : gate_(gate),
        limits_(limits),
        ask_(std::move(ask)),
        handle_(std::move(handle)),
        refuse_(std::move(refuse)) {}

  void start() override { refill(); }

 private:
  friend class StreamCall<Request, Row>;

  void refill() {
    while (!gate_.is_shut() && asked_ < limits_.ahead) {
      Call* call = std::make_unique<Call>(*this).release();  // gRPC's now
      ++asked_;
      gate_.enter();
      call->context_.AsyncNotifyWhenDone(&call->end_);
      ask_(&call->context_, &call->received_, &call->writer_, call);
    }
  }

  void arrived(Call* call, bool ok) {
    --asked_;
    ++open_;
    if (!ok) return done(call);  // never began: gone() will not be called
    call->visit_.emplace(gate_);
    refill();
    if (const Status may = count(*call); !may) return refuse_(*call, may.error());
    if (!call->received_.parsed) return refuse_(*call, parse_error(call->request));
    call->handler_ = handle_(*call);
  }

  // Errc::limit where one of this method's calls is too many.
  [[nodiscard]] Status count(Call& call) {
    if (limits_.connection_max > 0) {
      call.count();
      const std::size_t of_connection = ++open_of_[call.share_];
      if (of_connection > limits_.connection_max) {
        return fail(Errc::limit, "over the limit of " + std::to_string(limits_.connection_max) +
                                     " open calls of this method from one connection");
      }
      if (of_connection <= streams_always_taken) return Unit{};
    }
    if (open_ <= limits_.open_max) return Unit{};
    return fail(Errc::limit, "over the limit of " + std::to_string(limits_.open_max) +
                                 " open calls of this method");
  }

  void done(Call* raw) {
    std::unique_ptr<Call> call(raw);
    --open_;
    if (call->share_ != nullptr) {
      if (const auto of = open_of_.find(call->share_); of != open_of_.end() && --of->second == 0) {
        open_of_.erase(of);
      }
      gate_.shares().leave(*call->share_);
    }
    call.reset();
    refill();
    gate_.leave();
  }

  CallGate& gate_;
  const CallLimits limits_;
  const Ask ask_;
  const Handle handle_;
  const Refuse refuse_;
  std::size_t asked_ = 0;
  std::size_t open_ = 0;
  std::unordered_map<const ClientShares::Share*, std::size_t> open_of_;
};

}  // namespace iris
