#include "src/client/listen.h"

#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <utility>

#include "raft/check.h"
#include "src/base/utf8.h"
#include "src/client/verdict.h"

namespace iris::client {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds heartbeat_min{100};
constexpr milliseconds heartbeat_max{3'600'000};
// Of Connect and Subscribe; when it is over, the next node is asked.
constexpr milliseconds prepare_timeout{5'000};
// A session that nobody listens to lives longer than this: three quarters of the least
// -session-ttl.
constexpr milliseconds session_life_min{500};
// After two attempts that brought nothing, a jittered pause that doubles each time. (Which node to
// ask, and when one is due again, is the pool's matter.)
constexpr milliseconds pause_min{50};
constexpr milliseconds pause_max{2'000};

enum class Event : std::uintptr_t { started = 1, read, finished };
// NOLINTNEXTLINE(performance-no-int-to-ptr): gRPC has pointers for tags; it is never followed
void* tag_of(Event event) { return reinterpret_cast<void*>(event); }

milliseconds milliseconds_since(Clock::time_point then) {
  return std::chrono::duration_cast<milliseconds>(Clock::now() - then);
}

Error bad(std::string text) { return {Code::invalid_argument, std::move(text)}; }

Update from_wire(pb::Update& wire) {
  Update update;
  switch (wire.op()) {
    case pb::Update::REMOVE:
      update.op = Update::Op::remove;
      break;
    case pb::Update::BOOKMARK:
      update.op = Update::Op::bookmark;
      break;
    case pb::Update::SYNCED:
      update.op = Update::Op::synced;
      break;
    case pb::Update::RESYNC:
      update.op = Update::Op::resync;
      break;
    default:
      update.op = Update::Op::put;
      break;
  }
  update.source = std::move(*wire.mutable_source());
  update.key = std::move(*wire.mutable_key());
  update.value = std::move(*wire.mutable_value());
  update.revision = wire.revision();
  update.more = wire.more();
  return update;
}

// Errors that end the listener: another listener took the session over (conflict), or the same
// request would get the same answer again. A refusal does not: certificates and rights are renewed.
bool is_final(const Error& error) {
  return error.code == Code::conflict || error.code == Code::invalid_argument ||
         error.code == Code::too_long || error.code == Code::unsupported;
}

// A stream of Listen on a completion queue of its own. The destructor waits for the end of all
// operations.
class Stream {
 public:
  Stream(Node& node, const pb::ListenRequest& request) {
    reader_ = node.iris->PrepareAsyncListen(&context, request, &queue_);
    reader_->StartCall(tag_of(Event::started));
  }
  ~Stream() {
    context.TryCancel();
    queue_.Shutdown();
    void* tag = nullptr;
    bool ok = false;
    while (queue_.Next(&tag, &ok)) {
    }
  }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  // Waits for the operation under way. nullopt: the time is over, and it is still under way.
  [[nodiscard]] std::optional<bool> await(milliseconds timeout) {
    void* tag = nullptr;
    bool ok = false;
    const auto deadline = std::chrono::system_clock::now() + timeout;
    if (queue_.AsyncNext(&tag, &ok, deadline) != grpc::CompletionQueue::GOT_EVENT) {
      return std::nullopt;
    }
    return ok;
  }
  void read(pb::Update& update) { reader_->Read(&update, tag_of(Event::read)); }
  // REQUIRES: no operation under way.
  [[nodiscard]] grpc::Status finish() {
    grpc::Status status;
    reader_->Finish(&status, tag_of(Event::finished));
    void* tag = nullptr;
    bool ok = false;
    CHECK(queue_.Next(&tag, &ok));
    return status;
  }

  grpc::ClientContext context;

 private:
  grpc::CompletionQueue queue_;
  std::unique_ptr<grpc::ClientAsyncReader<pb::Update>> reader_;
};

}  // namespace

grpc::Status send_subscribe(Node& node, grpc::ClientContext& context, const std::string& session,
                            const Topic& topic) {
  if (topic.key) {
    pb::SubscribeKeyRequest request;
    request.set_session(session);
    request.set_source(topic.source);
    request.set_key(*topic.key);
    pb::SubscribeKeyResponse response;
    return node.iris->SubscribeKey(&context, request, &response);
  }
  pb::SubscribeRequest request;
  request.set_session(session);
  request.set_source(topic.source);
  pb::SubscribeResponse response;
  return node.iris->Subscribe(&context, request, &response);
}

Result<std::unique_ptr<Listener::State>> Listener::State::start(std::shared_ptr<Pool> pool,
                                                                ListenOptions options,
                                                                ListenHandlers handlers) {
  if (options.topics.empty()) return bad("a listener needs at least one topic");
  for (const auto& topic : options.topics) {
    if (topic.source.empty()) return bad("source is empty");
    if (topic.key && topic.key->empty()) return bad("key is empty");
    if (!is_utf8(topic.source)) return bad("source is not valid UTF-8");
    if (topic.key && !is_utf8(*topic.key)) return bad("key is not valid UTF-8");
  }
  if (!is_utf8(options.session)) return bad("session is not valid UTF-8");
  if (options.heartbeat < heartbeat_min || options.heartbeat > heartbeat_max) {
    return bad("the heartbeat must be from 100 ms to 1 h");
  }
  if (!handlers.on_update) return bad("a listener needs on_update");
  return std::unique_ptr<State>(
      new State(std::move(pool), std::move(options), std::move(handlers)));
}

Listener::State::State(std::shared_ptr<Pool> pool, ListenOptions options, ListenHandlers handlers)
    : pool_(std::move(pool)),
      options_(std::move(options)),
      handlers_(std::move(handlers)),
      session_(options_.session),
      cursor_(options_.after, options_.send_initial),
      patience_(options_.heartbeat),
      earlier_(options_.after.revision > 0),
      position_(cursor_.position()),
      thread_([this] { run(); }) {}

Listener::State::~State() {
  stop();
  thread_.join();
}

void Listener::State::stop() {
  abort_.set();
  const std::lock_guard lock(mutex_);
  changed_.notify_all();
}

Position Listener::State::position() const {
  const std::lock_guard lock(mutex_);
  return position_;
}

bool Listener::State::wait(milliseconds timeout) const {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, timeout, [&] { return ended_; });
}

void Listener::State::run() {
  while (!stopped()) {
    const auto served = serve();
    if (served || stopped()) break;
    if (is_final(served.error())) {
      if (handlers_.on_end) handlers_.on_end(served.error());
      break;
    }
    if (handlers_.on_lost) handlers_.on_lost(served.error());
    if (++fruitless_ > 1) pause();
  }
  const std::lock_guard lock(mutex_);
  ended_ = true;
  changed_.notify_all();
}

void Listener::State::pause() {
  const auto longest =
      std::min<milliseconds>(pause_min * (1u << std::min(fruitless_, 6u)), pause_max);
  std::uniform_int_distribution<std::int64_t> spread(longest.count() / 2, longest.count());
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, milliseconds(spread(jitter_)), [&] { return stopped(); });
}

Result<Done> Listener::State::serve() {
  Node* node = nullptr;
  do {
    if (subscribed_ && may_have_expired()) forget_session();
    if (!subscribed_) {
      // prepare() would find one too, but say of its calls that they were not taken.
      if (const auto found = find_node(); !found) return found.error();
      if (auto ready = prepare(); !ready) return ready;
      subscribed_ = true;
      alive_ = Clock::now();
    }
    const auto found = find_node();
    if (!found) return found.error();
    if (*found == nullptr) return Done{};
    node = *found;
  } while (may_have_expired());  // while no node could be asked
  auto served = read_stream(*node);
  if (served && unproved_) served = read_stream(*node);
  if (!served && served.error().code == Code::not_found) {
    forget_session();
    earlier_ = true;
  }
  return served;
}

Result<Node*> Listener::State::find_node() {
  Node* node = pool_->pick(Clock::now() + prepare_timeout, &abort_.flag());
  if (node != nullptr || stopped()) return stopped() ? nullptr : node;
  Error error = pool_->why();
  if (error.code == Code::not_done) error.text = "no node answers: " + error.text;
  return error;
}

// 0: nowhere yet.
std::uint64_t Listener::State::after_revision() const {
  return unproved_ ? unproved_->revision : cursor_.after_revision();
}

// True: the session may have expired and no node would say so. With a position to go on from, a
// node reports an expired session and the gap is filled. Without one, an expired session just gets
// a stream without updates.
bool Listener::State::may_have_expired() const {
  return after_revision() == 0 && Clock::now() - alive_ > session_life_min;
}

// The changes missed meanwhile are sent from the position on; without a position, the state is.
void Listener::State::forget_session() {
  subscribed_ = false;
  unproved_.reset();
  if (cursor_.after_revision() == 0) cursor_.start_over();
}

// Makes the session and its subscriptions. A session belongs to the cluster, so any node will do.
// Subscribe is repeated whatever its outcome: a listener never unsubscribes, so a Subscribe that is
// carried out late undoes nothing.
Result<Done> Listener::State::prepare() {
  const CallPlan plan{Repeat::always, prepare_timeout, nullptr, &abort_};
  if (session_.empty()) {
    pb::ConnectResponse response;
    const auto attempt = [&](Node& node, grpc::ClientContext& context) {
      return node.iris->Connect(&context, {}, &response);
    };
    if (auto error = call(*pool_, plan, attempt)) return *error;
    session_ = std::move(*response.mutable_session());
  }
  for (const auto& topic : options_.topics) {
    const auto attempt = [&](Node& node, grpc::ClientContext& context) {
      return send_subscribe(node, context, session_, topic);
    };
    if (auto error = call(*pool_, plan, attempt)) return *error;
  }
  return Done{};
}

Result<Done> Listener::State::read_stream(Node& node) {
  pb::ListenRequest request;
  request.set_session(session_);
  request.set_after_revision(after_revision());
  request.set_send_initial(cursor_.send_initial() && !unproved_);
  request.set_earlier(earlier_);
  request.set_heartbeat_ms(static_cast<std::uint32_t>(options_.heartbeat.count()));
  pb::Update wire;  // before the stream, which until it is gone may be reading into this
  Stream stream(node, request);
  if (!abort_.begin(stream.context)) return Done{};
  const auto began = Clock::now();
  auto silent_max = prepare_timeout;
  bool connected = false;
  bool kept = false;
  doubtful_ = false;
  auto going = stream.await(silent_max);
  while (going.value_or(false) && !stopped()) {
    stream.read(wire);
    silent_max = patience_.silent_max();
    going = stream.await(silent_max);
    if (!going.value_or(false) || stopped()) break;
    if (!connected) doubtful_ = may_have_expired();
    kept = keep_unproved(wire);
    if (kept) break;
    if (!doubtful_) alive_ = Clock::now();
    if (!std::exchange(connected, true)) {
      pool_->answered(node);
      fruitless_ = 0;
      if (handlers_.on_connected) handlers_.on_connected(node.address);
      if (cursor_.begin_stream()) deliver({.op = Update::Op::resync});
      if (unproved_) deliver(*std::exchange(unproved_, std::nullopt));
    }
    deliver(from_wire(wire));
    const bool quiet =
        wire.op() == pb::Update::BOOKMARK && cursor_.position() == Position{wire.revision(), {}};
    patience_.heard(cursor_.position(), quiet, milliseconds_since(began));
  }
  abort_.end();
  if (stopped() || kept) return Done{};
  if (!going) {
    pool_->fell_silent(node);
    patience_.fell_silent(cursor_.position());
    return Error{Code::not_done,
                 node.address + " said nothing for " + std::to_string(silent_max.count()) + " ms"};
  }
  pool_->failed(node);
  const grpc::Status status = stream.finish();
  const Verdict verdict = judge(status, false);
  std::string text = status.ok() ? "the node ended the stream" : status.error_message();
  text += " (" + node.address + ")";
  if (verdict.kind == Verdict::Kind::final) return Error{verdict.code, std::move(text)};
  return Error{Code::not_done, std::move(text)};
}

// A session that expired before its stream began gets a stream without updates. A node reports that
// only to a request that goes on from a revision, so the mark is kept until the next stream has
// made such a request.
bool Listener::State::keep_unproved(const pb::Update& wire) {
  const bool update = wire.op() == pb::Update::PUT || wire.op() == pb::Update::REMOVE;
  if (update) doubtful_ = false;
  if (!doubtful_ || wire.op() == pb::Update::RESYNC || wire.revision() == 0) return false;
  if (wire.op() == pb::Update::BOOKMARK && cursor_.send_initial()) return false;  // amid the state
  pb::Update mark = wire;
  unproved_ = from_wire(mark);
  return true;
}

void Listener::State::deliver(const Update& update) {
  if (stopped() || !cursor_.take(update)) return;
  handlers_.on_update(update);
  const std::lock_guard lock(mutex_);
  position_ = cursor_.position();
}

Listener::Listener(std::unique_ptr<State> state) : state_(std::move(state)) {}
Listener::Listener(Listener&&) noexcept = default;
Listener& Listener::operator=(Listener&&) noexcept = default;
Listener::~Listener() = default;

void Listener::stop() { state_->stop(); }
Position Listener::position() const { return state_->position(); }
bool Listener::wait(milliseconds timeout) const { return state_->wait(timeout); }

}  // namespace iris::client
