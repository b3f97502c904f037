#include "src/bench/unread.h"

#include <grpcpp/alarm.h>
#include <grpcpp/grpcpp.h>

#include <chrono>
#include <cstdio>
#include <optional>

namespace iris::bench {
namespace {

using namespace std::chrono_literals;

constexpr auto pause = 100ms;
constexpr auto look_every = 50ms;  // whether it is over

}  // namespace

// Used by the thread only, but for the subscribing before it starts.
struct Unread::Seat {
  Connection& connection;
  std::string session;
  std::optional<grpc::ClientContext> context = std::nullopt;
  std::unique_ptr<grpc::ClientAsyncReader<pb::Update>> reader = nullptr;
  grpc::Status status = {};
  grpc::Alarm alarm = {};
  bool pausing = false;
  int under_way = 0;

  void listen(grpc::CompletionQueue& queue) {
    pausing = false;
    context.emplace();
    pb::ListenRequest request;
    request.set_session(session);
    reader = connection.stub->AsyncListen(&*context, request, &queue, this);
    reader->Finish(&status, this);  // comes when the node ends it: nothing is read
    under_way = 2;
  }
  void went(grpc::CompletionQueue& queue, bool ending) {
    if (--under_way > 0 || ending) return;
    if (pausing) return listen(queue);
    reader.reset();
    pausing = true;
    under_way = 1;
    alarm.Set(&queue, std::chrono::system_clock::now() + pause, this);
  }
};

Result<std::unique_ptr<Unread>> Unread::open(const Broadcast& broadcast) {
  Options options = broadcast.options;
  options.connections = options.unread;
  auto connections = connect_all(options);
  if (!connections) return unexpected(connections.error());
  std::unique_ptr<Unread> unread(new Unread(std::move(*connections)));
  if (auto done = unread->subscribe(broadcast); !done) {
    return unexpected(done.error());
  }
  unread->thread_ = std::thread([raw = unread.get()] { raw->work(); });
  return unread;
}

Unread::Unread(std::vector<Connection> connections) : connections_(std::move(connections)) {}

Unread::~Unread() {
  ending_ = true;
  if (thread_.joinable()) thread_.join();
}

Result<Unit> Unread::subscribe(const Broadcast& broadcast) {
  for (auto& connection : connections_) {
    char session[40];
    std::snprintf(session, sizeof session, "HUNG%016llX%08zX",
                  static_cast<unsigned long long>(broadcast.run), seats_.size());
    seats_.push_back(std::make_unique<Seat>(connection, session));
    for (const auto& source : broadcast.sources) {
      grpc::ClientContext context;
      context.set_deadline(std::chrono::system_clock::now() + broadcast.options.timeout);
      pb::SubscribeRequest request;
      request.set_session(session);
      request.set_source(source);
      pb::SubscribeResponse response;
      const auto status = connection.stub->Subscribe(&context, request, &response);
      if (!status.ok()) {
        return fail(Errc::unavailable, connection.address + ": " + status.error_message());
      }
    }
  }
  return Unit{};
}

void Unread::work() {
  for (auto& seat : seats_) seat->listen(queue_);
  const auto open = [&] {
    for (const auto& seat : seats_) {
      if (seat->under_way > 0) return true;
    }
    return false;
  };
  bool cancelled = false;
  while (!cancelled || open()) {
    void* tag = nullptr;
    bool ok = false;
    const auto next = queue_.AsyncNext(&tag, &ok, std::chrono::system_clock::now() + look_every);
    if (next == grpc::CompletionQueue::GOT_EVENT) static_cast<Seat*>(tag)->went(queue_, ending_);
    if (ending_ && !std::exchange(cancelled, true)) {
      for (auto& seat : seats_) {
        seat->context->TryCancel();
        seat->alarm.Cancel();
      }
    }
  }
  queue_.Shutdown();
  void* tag = nullptr;
  bool ok = false;
  while (queue_.Next(&tag, &ok)) {
  }
}

}  // namespace iris::bench
