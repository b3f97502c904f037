// Maintenance.Snapshot through gRPC: the whole data, or an early error.
#include "tests/api/server.h"
#include "tests/catch.h"

namespace iris::test {
namespace {

using namespace std::chrono_literals;
using grpc::StatusCode;

grpc::Status snapshot(TestServer& server, std::chrono::milliseconds limit, std::size_t& bytes) {
  const auto maintenance = pb::Maintenance::NewStub(server.channel());
  const auto call = context(limit);
  const auto reader = maintenance->Snapshot(call.get(), pb::SnapshotRequest());
  pb::SnapshotChunk chunk;
  while (reader->Read(&chunk)) bytes += chunk.data().size();
  return reader->Finish();
}

}  // namespace

TEST_CASE("a backup that no leader allows is refused as soon as any read, whatever its deadline") {
  TestServerOptions options;
  options.cluster = TestServerOptions::Cluster::none;
  TestServer server(options);
  std::size_t bytes = 0;
  const auto begin = std::chrono::steady_clock::now();
  const grpc::Status ended = snapshot(server, 20s, bytes);
  REQUIRE(ended.error_code() == StatusCode::UNAVAILABLE);
  REQUIRE(std::chrono::steady_clock::now() - begin < 15s);
  REQUIRE(bytes == 0);
}

TEST_CASE("a backup of a node that leads ends well") {
  TestServer server;
  std::size_t bytes = 0;
  REQUIRE(snapshot(server, 20s, bytes).ok());
  REQUIRE(bytes > 0);
}

}  // namespace iris::test
