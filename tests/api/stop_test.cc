// The stop of a server: what was waiting, what is on its way, and what comes too late.
#include <atomic>
#include <thread>

#include "src/base/trailers.h"
#include "tests/api/server.h"
#include "tests/api/write_load.h"
#include "tests/catch.h"

namespace iris::test {
namespace {

using namespace std::chrono_literals;
using grpc::StatusCode;
using Cluster = TestServerOptions::Cluster;

// gRPC's own shutdown answers calls that it holds with CANCELLED, of which nobody knows whether
// they were done.
TEST_CASE("a stop under load answers nobody CANCELLED: done, not done, or the connection broke") {
  TestServer server;
  WriteLoad load;
  for (int i = 0; i < 4; ++i) load.add(server.new_channel(), 200);
  REQUIRE(load.await_done(2'000));
  server.stop(1'000);
  REQUIRE(load.await_end() == "");
}

TEST_CASE("a stop ends what is waiting, as not done, and refuses what comes later") {
  TestServerOptions options;
  options.cluster = Cluster::none;
  TestServer server(options);
  pb::SetValueRequest request;
  request.set_source("s");
  request.set_key("k");
  std::atomic<int> waiting = 0;
  std::atomic<int> not_done = 0;
  std::vector<std::thread> threads;
  threads.reserve(20);
  for (int i = 0; i < 20; ++i) {
    threads.emplace_back([&] {
      pb::SetValueResponse response;
      const auto call = context();
      ++waiting;
      const auto status = server.iris().SetValue(call.get(), request, &response);
      if (status.error_code() == StatusCode::UNAVAILABLE &&
          trailer(*call, trailer_not_done) == "1") {
        ++not_done;
      }
    });
  }
  // All are at the node, as it says itself.
  const auto give_up = std::chrono::steady_clock::now() + 10s;
  while (server.on_loop([&] { return server.node().status().waiters; }) < 20) {
    REQUIRE(std::chrono::steady_clock::now() < give_up);
    std::this_thread::yield();
  }
  const auto begin = std::chrono::steady_clock::now();
  server.stop(5'000);
  REQUIRE(std::chrono::steady_clock::now() - begin < 4s);  // the stop had nothing to wait for
  for (auto& thread : threads) thread.join();
  REQUIRE(not_done == 20);
  pb::SetValueResponse response;
  REQUIRE(server.iris().SetValue(context(1s).get(), request, &response).error_code() ==
          StatusCode::UNAVAILABLE);
}

TEST_CASE("a stop under load ends every call, and soon") {
  TestServer server;
  std::atomic<bool> ended = false;
  std::atomic<int> done = 0;
  std::vector<std::thread> threads;
  threads.reserve(8);
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] {
      const auto stub = pb::Iris::NewStub(server.new_channel());
      pb::SetValueRequest request;
      request.set_source("s");
      request.set_key("k");
      pb::SetValueResponse response;
      while (!ended && stub->SetValue(context().get(), request, &response).ok()) ++done;
      const auto call = context();
      pb::GetKeysRequest list;
      list.set_source("s");
      const auto reader = stub->GetKeys(call.get(), list);
      pb::GetKeysResponse row;
      while (reader->Read(&row)) {
      }
      static_cast<void>(reader->Finish());
    });
  }
  while (done < 200) std::this_thread::yield();
  server.stop(1'000);
  ended = true;
  for (auto& thread : threads) thread.join();
}

TEST_CASE("a stop breaks off what does not end, at the end of the drain") {
  TestServer server;
  // A list whose client reads nothing.
  pb::SetValueRequest request;
  request.set_source("s");
  request.set_value(std::string(2u << 20, 'v'));
  for (int key = 0; key < 12; ++key) {
    request.set_key(std::to_string(key));
    pb::SetValueResponse response;
    REQUIRE(server.iris().SetValue(context().get(), request, &response).ok());
  }
  pb::GetKeysRequest list;
  list.set_source("s");
  list.set_with_values(true);
  const auto call = context();
  const auto reader = server.iris().GetKeys(call.get(), list);
  pb::GetKeysResponse row;
  REQUIRE(reader->Read(&row));
  const auto begin = std::chrono::steady_clock::now();
  server.stop(200);
  REQUIRE(std::chrono::steady_clock::now() - begin < 5s);
  while (reader->Read(&row)) {
  }
  REQUIRE_FALSE(reader->Finish().ok());
}

}  // namespace
}  // namespace iris::test
