#include "src/bench/watch.h"

#include <grpcpp/grpcpp.h>

#include <cstdio>
#include <deque>
#include <random>
#include <thread>
#include <utility>

#include "src/bench/audience.h"
#include "src/bench/publication.h"
#include "src/bench/report.h"
#include "src/bench/unread.h"

namespace iris::bench {
namespace {

using namespace std::chrono_literals;

constexpr auto subscribe_patience = 60s;
constexpr auto drain_patience = 5s;  // for the next of what was written to arrive
constexpr auto progress_every = 500ms;

// Writes at fixed times, to the sources in turn, and enters what was acknowledged into the ledgers.
// Its own two threads: one that is on time, one that takes the answers.
class Writer {
 public:
  Writer(Broadcast& broadcast, WatchResult& result) : broadcast_(broadcast), result_(result) {}

  // Until `until`, or `stop`; returns when every write has ended.
  void run(Clock::time_point start, Clock::time_point until, const std::atomic<bool>& stop) {
    std::thread taker([this] { take_answers(); });
    const std::chrono::duration<double> period(1.0 / broadcast_.options.rate);
    for (std::uint64_t count = 0; !stop; ++count) {
      const auto due =
          start + std::chrono::duration_cast<Clock::duration>(period * static_cast<double>(count));
      if (due >= until) break;
      std::this_thread::sleep_until(due);
      send(count, due);
    }
    queue_.Shutdown();
    taker.join();
    for (const Write& write : writes_) {
      auto& ledger = broadcast_.ledgers[write.source];
      ledger[write.number] = write.revision;
      if (write.revision > 0) ++result_.written;
    }
    broadcast_.written_out = true;
  }
  [[nodiscard]] std::uint64_t acknowledged() const { return acknowledged_; }

 private:
  struct Write {
    std::size_t source = 0;
    std::size_t number = 0;
    std::uint64_t revision = 0;
    Clock::time_point due;
    // While it is under way:
    struct Call {
      grpc::ClientContext context;
      pb::SetValueResponse response;
      grpc::Status status;
      std::unique_ptr<grpc::ClientAsyncResponseReader<pb::SetValueResponse>> reader;
    };
    std::unique_ptr<Call> call;
  };

  void send(std::uint64_t count, Clock::time_point due) {
    Write& write = writes_.emplace_back();
    write.source = static_cast<std::size_t>(count % broadcast_.sources.size());
    write.number = broadcast_.ledgers[write.source].size();
    broadcast_.ledgers[write.source].push_back(0);
    write.due = due;
    write.call = std::make_unique<Write::Call>();
    write.call->context.set_deadline(std::chrono::system_clock::now() + broadcast_.options.timeout);
    const auto due_ns = std::chrono::nanoseconds(due.time_since_epoch()).count();
    std::string value(std::max<std::uint64_t>(broadcast_.options.value_bytes, publication_bytes),
                      'v');
    write_publication(value, {broadcast_.run, write.number, due_ns});
    pb::SetValueRequest request;
    request.set_source(broadcast_.sources[write.source]);
    request.set_key("key");
    request.set_value(std::move(value));
    auto& connection = broadcast_.connections[count % broadcast_.connections.size()];
    write.call->reader = connection.stub->AsyncSetValue(&write.call->context, request, &queue_);
    write.call->reader->Finish(&write.call->response, &write.call->status, &write);
  }

  void take_answers() {
    void* tag = nullptr;
    bool ok = false;
    while (queue_.Next(&tag, &ok)) {
      Write& write = *static_cast<Write*>(tag);
      const auto& status = write.call->status;
      ++result_.ended[static_cast<std::size_t>(status.error_code())];
      if (status.ok()) {
        write.revision = write.call->response.revision();
        ++acknowledged_;
        if (broadcast_.measuring) {
          result_.writes.add(static_cast<std::uint64_t>(
              std::chrono::nanoseconds(Clock::now() - write.due).count()));
        }
      }
      write.call.reset();
    }
  }

  Broadcast& broadcast_;
  WatchResult& result_;
  std::deque<Write> writes_;  // grows at its end only: gRPC knows them by their addresses
  grpc::CompletionQueue queue_;
  std::atomic<std::uint64_t> acknowledged_ = 0;
};

using Audiences = std::vector<std::unique_ptr<Audience>>;

std::uint64_t sum(const Audiences& audiences,
                  std::atomic<std::uint64_t> Audience::Counters::*counter) {
  std::uint64_t all = 0;
  for (const auto& audience : audiences) all += audience->counters().*counter;
  return all;
}

// Until all say so. False: the time is over, or it was stopped.
bool await_all(const Audiences& audiences, bool (Audience::*ready)() const,
               std::chrono::seconds patience, const std::atomic<bool>& stop, const char* what) {
  const auto deadline = Clock::now() + patience;
  for (const auto& audience : audiences) {
    while (!((*audience).*ready)()) {
      if (stop || Clock::now() > deadline) return false;
      show_progress(what);
      std::this_thread::sleep_for(20ms);
    }
  }
  return true;
}

// Waits for the updates that are written and have not arrived, as long as some arrive.
void drain(const Audiences& audiences) {
  const std::atomic<bool> never = false;
  std::uint64_t before = 0;
  for (;;) {
    if (await_all(audiences, &Audience::complete, drain_patience, never, "waiting for the rest")) {
      return;
    }
    const auto delivered = sum(audiences, &Audience::Counters::delivered_all);
    if (std::exchange(before, delivered) == delivered) return;
  }
}

std::string progress_text(const char* phase, std::uint64_t delivered, std::uint64_t before) {
  char text[96];
  std::snprintf(text, sizeof text, "%s  %8.0f delivered/s", phase,
                static_cast<double>(delivered - before) /
                    std::chrono::duration<double>(progress_every).count());
  return text;
}

// Warm-up and measurement, while the writer writes.
void measure(Broadcast& broadcast, const Audiences& audiences, Clock::time_point measured_from,
             Clock::time_point until, const std::atomic<bool>& stop, WatchResult& result) {
  std::uint64_t before = 0;
  auto next_progress = Clock::now() + progress_every;
  auto from = measured_from;
  while (!stop && Clock::now() < until) {
    const auto now = Clock::now();
    if (!broadcast.measuring && now >= measured_from) {
      broadcast.measuring = true;
      from = now;
    }
    if (now >= next_progress) {
      const auto delivered = sum(audiences, &Audience::Counters::delivered_all);
      show_progress(
          progress_text(broadcast.measuring ? "measuring" : "warming up", delivered, before));
      before = delivered;
      next_progress += progress_every;
    }
    std::this_thread::sleep_for(10ms);
  }
  result.seconds = std::max(0.0, std::chrono::duration<double>(Clock::now() - from).count());
  result.delivered = sum(audiences, &Audience::Counters::delivered);
  result.interrupted = stop;
}

}  // namespace

Result<std::unique_ptr<WatchResult>> run_watch(const Options& options,
                                               std::vector<Connection>& connections,
                                               const std::atomic<bool>& stop) {
  Broadcast broadcast{.options = options, .connections = connections};
  std::random_device entropy;
  broadcast.run = (static_cast<std::uint64_t>(entropy()) << 32) | entropy();
  for (std::uint32_t i = 0; i < options.sources; ++i) {
    broadcast.sources.push_back(options.source + std::to_string(i));
  }
  broadcast.ledgers.resize(broadcast.sources.size());

  Audiences audiences;
  for (std::uint32_t i = 0; i < options.threads; ++i) {
    audiences.push_back(std::make_unique<Audience>(broadcast, i, options.threads));
    audiences.back()->start();
  }
  if (!await_all(audiences, &Audience::subscribed, subscribe_patience, stop, "subscribing")) {
    std::string why = stop ? "interrupted" : "the listeners could not be set up in time";
    for (const auto& audience : audiences) {
      if (const auto trouble = audience->trouble(); !trouble.empty()) why += ": " + trouble;
    }
    return fail(Errc::unavailable, std::move(why));
  }

  std::unique_ptr<Unread> unread;
  if (options.unread > 0) {
    auto opened = Unread::open(broadcast);
    if (!opened) return unexpected(opened.error());
    unread = std::move(*opened);
  }

  auto result = std::make_unique<WatchResult>();
  Writer writer(broadcast, *result);
  const auto start = Clock::now();
  const auto measured_from = start + options.warm_up;
  const auto until = measured_from + options.duration;
  std::thread writing([&] { writer.run(start, until, stop); });
  measure(broadcast, audiences, measured_from, until, stop, *result);
  writing.join();
  // The measured time ends here; the streams are read until all has arrived.
  drain(audiences);
  show_progress("");
  const auto delivered = result->delivered;
  for (auto& audience : audiences) audience->finish(*result);
  result->delivered = delivered;
  return result;
}

}  // namespace iris::bench
