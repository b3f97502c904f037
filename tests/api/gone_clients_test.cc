// Clients that ask for much and leave, or do not read: their slots and memory go to others.
#include <condition_variable>
#include <list>
#include <mutex>

#include "src/base/trailers.h"
#include "tests/api/server.h"
#include "tests/catch.h"

namespace iris::test {
namespace {

using namespace std::chrono_literals;
using grpc::StatusCode;

constexpr std::uint64_t never = std::uint64_t{1} << 62;  // a revision

// Concurrent reads on a channel of their own.
class Reads {
 public:
  explicit Reads(TestServer& server) : stub_(pb::Iris::NewStub(server.new_channel())) {}
  ~Reads() {
    cancel();
    REQUIRE(await(calls_.size()));
  }

  void start(const std::string& key, std::uint64_t min_revision = 0) {
    Call& call = calls_.emplace_back();
    call.context = context(60s);
    call.request.set_source("source");
    call.request.set_key(key);
    call.request.set_min_revision(min_revision);
    stub_->async()->GetValue(call.context.get(), &call.request, &call.response,
                             [this, &call](const grpc::Status& status) {
                               const std::lock_guard lock(mutex_);
                               call.status = status;
                               call.not_done = trailer(*call.context, trailer_not_done) == "1";
                               ++over_;
                               changed_.notify_all();
                             });
  }
  void cancel() {
    for (Call& call : calls_) call.context->TryCancel();
  }
  // So many are over.
  [[nodiscard]] bool await(std::size_t over) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, 20s, [&] { return over_ >= over; });
  }
  // Of those that are over.
  [[nodiscard]] std::size_t count(StatusCode code) {
    const std::lock_guard lock(mutex_);
    std::size_t count = 0;
    for (const Call& call : calls_) {
      if (call.status && call.status->error_code() == code) ++count;
    }
    return count;
  }
  // Every refused one says that it was not done.
  [[nodiscard]] bool refusals_say_not_done() {
    const std::lock_guard lock(mutex_);
    for (const Call& call : calls_) {
      if (call.status && call.status->error_code() == StatusCode::RESOURCE_EXHAUSTED &&
          !call.not_done) {
        return false;
      }
    }
    return true;
  }

 private:
  struct Call {
    std::unique_ptr<grpc::ClientContext> context;
    pb::GetValueRequest request;
    pb::GetValueResponse response;
    std::optional<grpc::Status> status;
    bool not_done = false;
  };

  std::unique_ptr<pb::Iris::Stub> stub_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::size_t over_ = 0;
  std::list<Call> calls_;
};

void await_waiters(TestServer& server, std::size_t count) {
  const auto give_up = std::chrono::steady_clock::now() + 20s;
  while (server.on_loop([&] { return server.node().status().waiters; }) != count) {
    REQUIRE(std::chrono::steady_clock::now() < give_up);
    std::this_thread::yield();
  }
}

grpc::Status set(TestServer& server, const std::string& key, const std::string& value) {
  pb::SetValueRequest request;
  request.set_source("source");
  request.set_key(key);
  request.set_value(value);
  pb::SetValueResponse response;
  return server.iris().SetValue(context().get(), request, &response);
}

// They once kept their slots until their deadline, an hour later.
TEST_CASE("reads that wait end with their client, and what they held is free") {
  TestServer server;
  Reads reads(server);
  for (int i = 0; i < 100; ++i) reads.start("key", never);
  await_waiters(server, 100);
  reads.cancel();
  REQUIRE(reads.await(100));
  await_waiters(server, 0);
}

TEST_CASE("one connection may have calls_max calls open, others are served beside it") {
  TestServerOptions options;
  options.api.client_shares.calls_max = 20;
  TestServer server(options);
  Reads reads(server);
  for (int i = 0; i < 20; ++i) reads.start("key", never);
  await_waiters(server, 20);
  CHECK(reads.count(StatusCode::RESOURCE_EXHAUSTED) == 0);
  reads.start("key", never);
  REQUIRE(reads.await(1));
  CHECK(reads.count(StatusCode::RESOURCE_EXHAUSTED) == 1);
  CHECK(reads.refusals_say_not_done());
  CHECK(set(server, "key", "value").ok());
}

TEST_CASE("lists that wait for a revision end with their client") {
  TestServer server;
  pb::GetKeysRequest request;
  request.set_source("source");
  request.set_min_revision(never);
  const auto call = context(60s);
  const auto reader = server.iris().GetKeys(call.get(), request);
  await_waiters(server, 1);
  call->TryCancel();
  CHECK(reader->Finish().error_code() == StatusCode::CANCELLED);
  await_waiters(server, 0);
}

TEST_CASE("one connection may have so many lists open, others still list") {
  TestServer server;
  const std::string value(1u << 20, 'v');
  for (int i = 0; i < 4; ++i) REQUIRE(set(server, "key" + std::to_string(i), value).ok());
  pb::GetKeysRequest request;
  request.set_source("source");
  request.set_min_revision(never);
  const auto stub = pb::Iris::NewStub(server.new_channel());
  struct List {
    std::unique_ptr<grpc::ClientContext> call = context(60s);
    std::unique_ptr<grpc::ClientReader<pb::GetKeysResponse>> reader;
  };
  constexpr std::size_t connection_max = 128;
  std::vector<List> lists(connection_max);
  for (List& list : lists) list.reader = stub->GetKeys(list.call.get(), request);
  await_waiters(server, connection_max);
  List refused;
  refused.reader = stub->GetKeys(refused.call.get(), request);
  const grpc::Status status = refused.reader->Finish();
  CHECK(status.error_code() == StatusCode::RESOURCE_EXHAUSTED);
  CHECK(status.error_message() ==
        "over the limit of 128 open calls of this method from one connection");
  request.set_min_revision(0);
  const auto call = context();
  const auto reader = server.iris().GetKeys(call.get(), request);
  pb::GetKeysResponse row;
  std::size_t rows = 0;
  while (reader->Read(&row)) ++rows;
  CHECK(reader->Finish().ok());
  CHECK(rows == 4);
  for (List& list : lists) list.call->TryCancel();
  for (List& list : lists) CHECK(list.reader->Finish().error_code() == StatusCode::CANCELLED);
  await_waiters(server, 0);
}

}  // namespace
}  // namespace iris::test
