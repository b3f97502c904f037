// Listen: the gRPC end of one stream of src/listeners. One update is with gRPC at a time; the next
// is asked for when it has left. An update is put into its wire form once, however many streams
// take it: therefore its rows are bytes to gRPC.
#include <optional>
#include <utility>

#include "src/api/context.h"
#include "src/listeners/listeners.h"

namespace iris {
namespace {

// How many there may be is for Listeners to say (-max-listeners), by a sentence of its own; this is
// above what it can be told.
constexpr CallLimits call_limits = {.ahead = 64, .open_max = 20'000'000};

using RawStream = StreamHandler<pb::ListenRequest, grpc::ByteBuffer>;

const grpc::ByteBuffer& encoded(const Update& update) {
  if (update.encoded == nullptr) {
    pb::Update message;
    message.set_source(update.source.data(), update.source.size());
    message.set_key(update.key.data(), update.key.size());
    message.set_value(update.value.data(), update.value.size());
    message.set_revision(update.revision);
    message.set_op(static_cast<pb::Update::Op>(update.op));
    message.set_more(update.more);
    auto bytes = std::make_shared<grpc::ByteBuffer>();
    bool own_buffer = false;
    CHECK(grpc::SerializationTraits<pb::Update>::Serialize(message, bytes.get(), &own_buffer).ok());
    update.encoded = std::move(bytes);
  }
  return *static_cast<const grpc::ByteBuffer*>(update.encoded.get());
}

Result<ListenSpec> take_spec(pb::ListenRequest& request, const Limits& limits) {
  if (const Status right = check_name(limits, "session", request.session()); !right) {
    return unexpected(right.error());
  }
  return ListenSpec{std::move(*request.mutable_session()), request.after_revision(),
                    request.send_initial(), request.heartbeat_ms(), request.earlier()};
}

Errc code_of(StreamEnd end) {
  switch (end) {
    case StreamEnd::aborted:
      return Errc::condition_failed;  // ABORTED
    case StreamEnd::unavailable:
      return Errc::unavailable;
    case StreamEnd::not_found:
      return Errc::not_found;
  }
  CHECK(false);
}

class ListenStream final : public RawStream, private UpdateStream {
 public:
  using Call = StreamCall<pb::ListenRequest, grpc::ByteBuffer>;

  ListenStream(ApiContext& api, Call& call) : api_(api), call_(call) { begin(); }
  ~ListenStream() override {
    if (ending_) --api_.open_answers;
  }

 private:
  void begin() {
    auto spec = take_spec(call_.request, api_.options.limits);
    pb::ListenRequest().Swap(&call_.request);  // the call may live for days
    if (!spec) return refuse(api_, call_, spec.error());
    const auto id = api_.listeners.open(std::move(*spec), *this);
    if (!id) return refuse(api_, call_, id.error());
    id_ = *id;
  }

  bool write(const UpdatePtr& update, bool more) override {
    call_.write(encoded(*update), more);
    return false;
  }

  void close(StreamEnd end, const std::string& text) override {
    id_.reset();
    end_ = Error{code_of(end), text};
    if (!call_.writing()) return refuse(api_, call_, *end_);
    // Listeners bounds it no longer. A client that does not even take what was written before the
    // end is not told of the end.
    call_.expect_end();
    ending_ = true;
    ++api_.open_answers;
  }

  void written(bool ok) override {
    if (end_) return refuse(api_, call_, *end_);
    if (!ok) return cancelled();
    api_.listeners.writable(*id_);
  }

  void cancelled() override {
    if (id_) api_.listeners.cancelled(*id_);
    id_.reset();
    call_.finish({grpc::StatusCode::CANCELLED, "the client went away"});
  }

  ApiContext& api_;
  Call& call_;
  std::optional<ListenerId> id_;  // open at Listeners
  std::optional<Error> end_;      // closed by Listeners, while a write is under way
  bool ending_ = false;           // since then
};

}  // namespace

void add_listen_calls(ApiContext& api) { add_stream<ListenStream>(api, api.iris, call_limits); }

}  // namespace iris
