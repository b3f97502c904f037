#include "src/bench/audience.h"

#include <grpcpp/alarm.h>
#include <grpcpp/grpcpp.h>

#include <cstdio>
#include <optional>
#include <utility>

#include "raft/check.h"
#include "src/bench/publication.h"
#include "src/client/cursor.h"

namespace iris::bench {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t subscribing_max = 200;  // calls at once, so that a node is not flooded
constexpr std::uint32_t heartbeat_ms = 2'000;
constexpr auto pause_after_error = 100ms;
constexpr auto look_every = 50ms;  // whether the run is over

void raise(std::atomic<std::uint64_t>& counter, std::uint64_t by = 1) {
  counter.store(counter.load(std::memory_order_relaxed) + by, std::memory_order_relaxed);
}

client::Update from_wire(pb::Update& wire) {
  client::Update update;
  update.op = static_cast<client::Update::Op>(wire.op());  // the numbers are the same
  update.key = std::move(*wire.mutable_key());
  update.value = std::move(*wire.mutable_value());
  update.revision = wire.revision();
  return update;
}

}  // namespace

// One listener: subscribes, listens, and listens again when its stream breaks. The thread's only.
class Audience::Seat {
 public:
  Seat(Audience& audience, std::uint32_t number)
      : audience_(audience),
        source_(number % audience.broadcast_.sources.size()),
        connection_(number % audience.broadcast_.connections.size()),
        cursor_({}, false) {
    char text[40];
    std::snprintf(text, sizeof text, "BENCH%016llX%08X",
                  static_cast<unsigned long long>(audience.broadcast_.run), number);
    session_ = text;
  }

  void subscribe() {
    step_ = Step::subscribing;
    begin_call();
    context_->set_deadline(std::chrono::system_clock::now() + audience_.broadcast_.options.timeout);
    pb::SubscribeRequest request;
    request.set_session(session_);
    request.set_source(audience_.broadcast_.sources[source_]);
    subscriber_ = stub().AsyncSubscribe(&*context_, request, &audience_.queue_);
    subscriber_->Finish(&subscribed_answer_, &status_, this);
  }

  // The operation under way is over.
  void went(bool ok) {
    --audience_.open_;
    if (audience_.ending_ && step_ != Step::finishing) return finish();
    switch (step_) {
      case Step::subscribing:
        if (!status_.ok()) return pause();
        if (!std::exchange(subscribed_, true)) {
          raise(audience_.counters_.subscribed);
          audience_.admit();
        }
        return listen();
      case Step::starting:
        return ok ? read() : finish();
      case Step::reading:
        if (!ok) return finish();
        take();
        return read();
      case Step::finishing:
        reader_.reset();
        if (audience_.ending_) return;
        raise(audience_.counters_.reconnects);
        if (status_.error_code() == grpc::StatusCode::NOT_FOUND) earlier_ = subscribe_again_ = true;
        return pause();
      case Step::pausing:
        connection_ = (connection_ + 1) % audience_.broadcast_.connections.size();
        if (!subscribed_ || std::exchange(subscribe_again_, false)) return subscribe();
        return listen();
    }
  }
  void cancel() {
    if (context_) context_->TryCancel();
    alarm_.Cancel();
  }

  // True: every acknowledged write arrived, or a resync stood for it. After written_out.
  [[nodiscard]] std::uint64_t lost() const {
    const Ledger& ledger = audience_.broadcast_.ledgers[source_];
    std::uint64_t count = 0;
    for (std::size_t number = 0; number < ledger.size(); ++number) {
      if (ledger[number] <= excused_) continue;  // also those whose outcome is unknown: 0
      count += number < seen_.size() && seen_[number] ? 0 : 1;
    }
    return count;
  }
  bool complete = false;

 private:
  enum class Step { subscribing, starting, reading, finishing, pausing };

  pb::Iris::Stub& stub() { return *audience_.broadcast_.connections[connection_].stub; }
  void begin_call() {
    context_.emplace();
    ++audience_.open_;
  }

  void listen() {
    step_ = Step::starting;
    begin_call();
    last_in_stream_ = cursor_.after_revision();
    pb::ListenRequest request;
    request.set_session(session_);
    request.set_after_revision(cursor_.after_revision());
    request.set_send_initial(cursor_.send_initial());
    request.set_heartbeat_ms(heartbeat_ms);
    request.set_earlier(earlier_);
    reader_ = stub().AsyncListen(&*context_, request, &audience_.queue_, this);
  }
  void read() {
    step_ = Step::reading;
    ++audience_.open_;
    reader_->Read(&wire_, this);
  }
  void finish() {
    if (!reader_) return;
    step_ = Step::finishing;
    ++audience_.open_;
    reader_->Finish(&status_, this);
  }
  void pause() {
    audience_.note(connection_, status_);
    step_ = Step::pausing;
    ++audience_.open_;
    alarm_.Set(&audience_.queue_, std::chrono::system_clock::now() + pause_after_error, this);
  }

  void take() {
    const client::Update update = from_wire(wire_);
    using Op = client::Update::Op;
    auto& counters = audience_.counters_;
    const bool live = (update.op == Op::put || update.op == Op::remove) && !in_state_;
    // Only the beginning of a stream may repeat updates; later ones must be in order.
    if (live && update.revision <= last_in_stream_) {
      raise(update.revision == last_in_stream_ ? counters.duplicated : counters.reordered);
    }
    if (live) last_in_stream_ = update.revision;
    if (!cursor_.take(update)) return;
    if (update.op == Op::resync) {
      in_state_ = true;
      raise(counters.resyncs);
    } else if (update.op == Op::synced) {
      in_state_ = false;
      excused_ = last_in_stream_ = update.revision;
    } else if (update.op == Op::put) {
      count(update.value);
    }
  }

  void count(const std::string& value) {
    const auto publication = read_publication(value);
    if (!publication || publication->run != audience_.broadcast_.run) return;  // of somebody else
    auto& counters = audience_.counters_;
    const auto number = static_cast<std::size_t>(publication->number);
    if (number >= seen_.size()) seen_.resize(number + 1);
    if (seen_[number] && !in_state_) raise(counters.duplicated);
    seen_[number] = true;
    raise(counters.delivered_all);
    if (!audience_.broadcast_.measuring.load(std::memory_order_relaxed)) return;
    raise(counters.delivered);
    const auto now = std::chrono::nanoseconds(Clock::now().time_since_epoch()).count();
    audience_.deliveries_.add(
        static_cast<std::uint64_t>(std::max<std::int64_t>(0, now - publication->due_ns)));
  }

  Audience& audience_;
  const std::size_t source_;
  std::size_t connection_;
  std::string session_;
  Step step_ = Step::subscribing;
  bool subscribed_ = false;
  bool subscribe_again_ = false;
  bool earlier_ = false;
  std::optional<grpc::ClientContext> context_;
  std::unique_ptr<grpc::ClientAsyncResponseReader<pb::SubscribeResponse>> subscriber_;
  pb::SubscribeResponse subscribed_answer_;
  std::unique_ptr<grpc::ClientAsyncReader<pb::Update>> reader_;
  pb::Update wire_;
  grpc::Status status_;
  grpc::Alarm alarm_;

  client::Cursor cursor_;
  bool in_state_ = false;
  std::uint64_t last_in_stream_ = 0;
  std::uint64_t excused_ = 0;  // up to this revision a resync stands for what did not come
  std::vector<bool> seen_;     // by number
};

Audience::Audience(Broadcast& broadcast, std::uint32_t first, std::uint32_t step)
    : broadcast_(broadcast) {
  for (std::uint32_t number = first; number < broadcast.options.listeners; number += step) {
    seats_.push_back(std::make_unique<Seat>(*this, number));
  }
}

Audience::~Audience() {
  ending_ = true;
  if (thread_.joinable()) thread_.join();
}

void Audience::start() {
  thread_ = std::thread([this] { work(); });
}

void Audience::work() {
  for (std::size_t i = 0; i < subscribing_max; ++i) admit();
  bool cancelled = false;
  auto looked = Clock::now();
  while (!cancelled || open_ > 0) {
    void* tag = nullptr;
    bool ok = false;
    const auto next = queue_.AsyncNext(&tag, &ok, std::chrono::system_clock::now() + look_every);
    if (next == grpc::CompletionQueue::GOT_EVENT) static_cast<Seat*>(tag)->went(ok);
    if (ending_ && !std::exchange(cancelled, true)) {
      for (auto& seat : seats_) seat->cancel();
    }
    if (broadcast_.written_out && Clock::now() - looked > look_every) {
      check_complete();
      looked = Clock::now();
    }
  }
  queue_.Shutdown();
  void* tag = nullptr;
  bool ok = false;
  while (queue_.Next(&tag, &ok)) {
  }
}

void Audience::admit() {
  if (admitted_ < seats_.size()) seats_[admitted_++]->subscribe();
}

void Audience::note(std::size_t connection, const grpc::Status& status) {
  const std::lock_guard lock(mutex_);
  trouble_ = broadcast_.connections[connection].address + ": " + status.error_message();
}

void Audience::check_complete() {
  for (auto& seat : seats_) {
    if (seat->complete || seat->lost() > 0) continue;
    seat->complete = true;
    raise(counters_.complete);
  }
}

bool Audience::subscribed() const { return counters_.subscribed == seats_.size(); }
bool Audience::complete() const { return counters_.complete == seats_.size(); }

std::string Audience::trouble() const {
  const std::lock_guard lock(mutex_);
  return trouble_;
}

void Audience::finish(WatchResult& result) {
  ending_ = true;
  thread_.join();
  result.delivered += counters_.delivered;
  result.delivered_all += counters_.delivered_all;
  result.duplicated += counters_.duplicated;
  result.reordered += counters_.reordered;
  result.resyncs += counters_.resyncs;
  result.reconnects += counters_.reconnects;
  result.deliveries.merge(deliveries_);
  for (const auto& seat : seats_) result.lost += seat->lost();
}

}  // namespace iris::bench
