// SetValue, GetValue, RemoveValue, RemoveSource through gRPC: the behaviour list of iris-api, error
// codes, limits, deadlines.
#include <atomic>
#include <thread>

#include "src/base/trailers.h"
#include "tests/api/server.h"
#include "tests/catch.h"

namespace iris::test {
namespace {

using namespace std::chrono_literals;
using grpc::StatusCode;
using Cluster = TestServerOptions::Cluster;

pb::SetValueRequest set_request(const std::string& source, const std::string& key,
                                const std::string& value) {
  pb::SetValueRequest request;
  request.set_source(source);
  request.set_key(key);
  request.set_value(value);
  return request;
}

struct Client {
  explicit Client(TestServer& asked) : server(asked) {}
  TestServer& server;

  grpc::Status set(const pb::SetValueRequest& request, pb::SetValueResponse* response = nullptr) {
    pb::SetValueResponse ignored;
    return server.iris().SetValue(context().get(), request, response ? response : &ignored);
  }
  std::uint64_t set(const std::string& source, const std::string& key, const std::string& value) {
    pb::SetValueResponse response;
    const auto status = set(set_request(source, key, value), &response);
    INFO(status.error_message());
    REQUIRE(status.ok());
    REQUIRE(response.value() == value);
    return response.revision();
  }
  pb::GetValueResponse get(const std::string& source, const std::string& key) {
    pb::GetValueRequest request;
    request.set_source(source);
    request.set_key(key);
    pb::GetValueResponse response;
    const auto status = server.iris().GetValue(context().get(), request, &response);
    INFO(status.error_message());
    REQUIRE(status.ok());
    return response;
  }
};

TEST_CASE("a value that was set is answered, and got with its revision") {
  TestServer server;
  Client client(server);
  const auto revision = client.set("colors", "sky", "blue");
  const auto got = client.get("colors", "sky");
  REQUIRE(got.value() == "blue");
  REQUIRE(got.found());
  REQUIRE(got.revision() == revision);
}

TEST_CASE("an empty value can be stored, and is told from a missing one") {
  TestServer server;
  Client client(server);
  client.set("colors", "sky", "");
  REQUIRE(client.get("colors", "sky").found());
  REQUIRE(client.get("colors", "sky").value().empty());
  const auto missing = client.get("colors", "sea");
  REQUIRE_FALSE(missing.found());
  REQUIRE(missing.value().empty());
  REQUIRE(missing.revision() == 0);
  REQUIRE_FALSE(client.get("no such source", "sky").found());
}

TEST_CASE("setting the same value again is a new revision") {
  TestServer server;
  Client client(server);
  const auto first = client.set("colors", "sky", "blue");
  REQUIRE(client.set("colors", "sky", "blue") > first);
}

TEST_CASE("values of any bytes and any size up to the limit come back as they were") {
  TestServer server;
  Client client(server);
  std::string bytes;
  for (int byte = 0; byte < 256; ++byte) bytes += static_cast<char>(byte);
  client.set("s", "bytes", bytes);
  REQUIRE(client.get("s", "bytes").value() == bytes);
  const std::string great(3u << 20, 'x');
  client.set("s", "great", great);
  REQUIRE(client.get("s", "great").value() == great);
  client.set("s", "small", "y");  // by call objects that held the large value
  REQUIRE(client.get("s", "small").value() == "y");
}

TEST_CASE("a value that is not in memory is read from the disk") {
  TestServerOptions options;
  options.disk.incomplete_per_million = 1'000'000;
  TestServer server(options);
  Client client(server);
  client.set("colors", "sky", "blue");
  REQUIRE(client.get("colors", "sky").value() == "blue");
  REQUIRE_FALSE(client.get("colors", "sea").found());
}

TEST_CASE("removing answers with the names, also where nothing was there") {
  TestServer server;
  Client client(server);
  client.set("colors", "sky", "blue");
  pb::RemoveValueRequest request;
  request.set_session("S");
  request.set_source("colors");
  request.set_key("sky");
  for (int time = 0; time < 2; ++time) {
    pb::RemoveValueResponse response;
    REQUIRE(server.iris().RemoveValue(context().get(), request, &response).ok());
    REQUIRE(response.session() == "S");
    REQUIRE(response.source() == "colors");
    REQUIRE(response.key() == "sky");
    REQUIRE_FALSE(client.get("colors", "sky").found());
  }
}

TEST_CASE("removing a source removes all its keys") {
  TestServer server;
  Client client(server);
  client.set("colors", "sky", "blue");
  client.set("colors", "sea", "green");
  client.set("sizes", "sky", "large");
  pb::RemoveSourceRequest request;
  request.set_session("S");
  request.set_source("colors");
  for (int time = 0; time < 2; ++time) {
    pb::RemoveSourceResponse response;
    REQUIRE(server.iris().RemoveSource(context().get(), request, &response).ok());
    REQUIRE(response.session() == "S");
    REQUIRE(response.source() == "colors");
  }
  REQUIRE_FALSE(client.get("colors", "sky").found());
  REQUIRE_FALSE(client.get("colors", "sea").found());
  REQUIRE(client.get("sizes", "sky").found());
}

TEST_CASE("a condition that does not hold is ABORTED, names the revision and changes nothing") {
  TestServer server;
  Client client(server);
  auto request = set_request("colors", "sky", "blue");
  request.set_if_revision(7);
  auto status = client.set(request);
  REQUIRE(status.error_code() == StatusCode::ABORTED);
  REQUIRE(status.error_message() == "if_revision did not hold: there is no such key");

  request.set_if_revision(0);  // must not exist
  pb::SetValueResponse response;
  REQUIRE(client.set(request, &response).ok());
  status = client.set(request);
  REQUIRE(status.error_code() == StatusCode::ABORTED);
  REQUIRE(status.error_message() == "if_revision did not hold: the value's revision is " +
                                        std::to_string(response.revision()));
  REQUIRE(client.get("colors", "sky").revision() == response.revision());

  request.set_if_revision(response.revision());
  REQUIRE(client.set(request).ok());

  pb::RemoveValueRequest removal;
  removal.set_source("colors");
  removal.set_key("sky");
  removal.set_if_revision(response.revision());
  pb::RemoveValueResponse removed;
  status = server.iris().RemoveValue(context().get(), removal, &removed);
  REQUIRE(status.error_code() == StatusCode::ABORTED);
  removal.set_if_revision(client.get("colors", "sky").revision());
  REQUIRE(server.iris().RemoveValue(context().get(), removal, &removed).ok());
  REQUIRE_FALSE(client.get("colors", "sky").found());
}

TEST_CASE("an empty source or key is refused by its name") {
  TestServer server;
  const auto refused = [](const grpc::Status& status, const std::string& field) {
    INFO(status.error_message());
    REQUIRE(status.error_code() == StatusCode::INVALID_ARGUMENT);
    REQUIRE(status.error_message().find("provide a " + field) != std::string::npos);
  };
  pb::SetValueResponse set;
  refused(server.iris().SetValue(context().get(), set_request("", "k", "v"), &set), "source");
  refused(server.iris().SetValue(context().get(), set_request("s", "", "v"), &set), "key");
  pb::GetValueRequest get;
  pb::GetValueResponse got;
  refused(server.iris().GetValue(context().get(), get, &got), "source");
  get.set_source("s");
  refused(server.iris().GetValue(context().get(), get, &got), "key");
  pb::RemoveValueRequest remove;
  pb::RemoveValueResponse removed;
  refused(server.iris().RemoveValue(context().get(), remove, &removed), "source");
  remove.set_source("s");
  refused(server.iris().RemoveValue(context().get(), remove, &removed), "key");
  pb::RemoveSourceResponse removed_source;
  refused(server.iris().RemoveSource(context().get(), {}, &removed_source), "source");
}

TEST_CASE("names and values are taken at their limits and refused one over (hazards 40, 107)") {
  TestServerOptions options;
  options.api.limits.name_bytes_max = 100;
  options.api.limits.value_bytes_max = 1'000;
  TestServer server(options);
  Client client(server);
  const std::string name(100, 'n');
  client.set(name, name, std::string(1'000, 'v'));
  REQUIRE(client.get(name, name).value().size() == 1'000);

  auto status = client.set(set_request("s", "k", std::string(1'001, 'v')));
  REQUIRE(status.error_code() == StatusCode::INVALID_ARGUMENT);
  REQUIRE(status.error_message() ==
          "value is 1001 bytes long; the limit is 1000 (server flag -max-value-bytes)");
  status = client.set(set_request(name + "n", "k", "v"));
  REQUIRE(status.error_code() == StatusCode::INVALID_ARGUMENT);
  REQUIRE(status.error_message() ==
          "source is 101 bytes long; the limit is 100 (server flag -max-name-bytes)");
  status = client.set(set_request("s", name + "n", "v"));
  REQUIRE(status.error_message().find("key is 101 bytes") != std::string::npos);
  auto request = set_request("s", "k", "v");
  request.set_session(name + "n");
  status = client.set(request);
  REQUIRE(status.error_message().find("session is 101 bytes") != std::string::npos);
}

TEST_CASE("a message of 4 MiB is taken, one over it is refused by a sentence") {
  TestServer server;
  Client client(server);
  const std::size_t fits = (4u << 20) - update_overhead_bytes - 2;
  client.set("s", "k", std::string(fits, 'v'));
  auto status = client.set(set_request("s", "k", std::string(fits + 1, 'v')));
  REQUIRE(status.error_code() == StatusCode::INVALID_ARGUMENT);
  REQUIRE(status.error_message().find("the limit is 4194304") != std::string::npos);
  status = client.set(set_request("s", "k", std::string((4u << 20) + 1, 'v')));
  REQUIRE(status.error_code() == StatusCode::INVALID_ARGUMENT);
  REQUIRE(status.error_message() ==
          "value is 4194305 bytes long; the limit is 4194304 (server flag -max-value-bytes)");
  status = client.set(set_request("s", "k", std::string(6u << 20, 'v')));
  REQUIRE(status.error_code() == StatusCode::RESOURCE_EXHAUSTED);  // gRPC's own refusal
  REQUIRE(client.get("s", "k").value().size() == fits);
}

TEST_CASE("larger values can be allowed") {
  TestServerOptions options;
  options.api.limits.value_bytes_max = 6u << 20;
  TestServer server(options);
  Client client(server);
  client.set("s", "k", std::string(6u << 20, 'v'));
  REQUIRE(client.get("s", "k").value().size() == 6u << 20);
}

TEST_CASE("an unknown read level is refused") {
  TestServer server;
  pb::GetValueRequest request;
  request.set_source("s");
  request.set_key("k");
  request.set_consistency(static_cast<pb::Consistency>(2));
  pb::GetValueResponse response;
  const auto status = server.iris().GetValue(context().get(), request, &response);
  REQUIRE(status.error_code() == StatusCode::INVALID_ARGUMENT);
  REQUIRE(status.error_message().find("consistency is 2") != std::string::npos);
}

TEST_CASE("a read waits for the revision it asks for, and then gives up as not done") {
  TestServer server;
  Client client(server);
  const auto revision = client.set("s", "k", "v");
  pb::GetValueRequest request;
  request.set_source("s");
  request.set_key("k");
  request.set_consistency(pb::STALE);
  request.set_min_revision(revision);
  pb::GetValueResponse response;
  REQUIRE(server.iris().GetValue(context().get(), request, &response).ok());
  REQUIRE(response.value() == "v");

  request.set_min_revision(revision + 1);
  grpc::Status later_status;  // Catch2 is for one thread: told when joined
  std::thread later([&] {
    pb::SetValueResponse set;
    later_status = server.iris().SetValue(context().get(), set_request("s", "other", "v"), &set);
  });
  const auto got = server.iris().GetValue(context().get(), request, &response);
  later.join();
  REQUIRE(later_status.ok());
  REQUIRE(got.ok());

  request.set_min_revision(revision + 1'000);
  const auto limited = context(1s);
  const auto status = server.iris().GetValue(limited.get(), request, &response);
  REQUIRE(status.error_code() == StatusCode::UNAVAILABLE);
  REQUIRE(trailer(*limited, trailer_not_done) == "1");
}

TEST_CASE("without a leader a call waits, then is UNAVAILABLE within its deadline (hazard 42)") {
  TestServerOptions options;
  options.cluster = Cluster::none;
  TestServer server(options);
  const auto begin = std::chrono::steady_clock::now();
  const auto limited = context(1s);
  pb::SetValueResponse response;
  const auto status = server.iris().SetValue(limited.get(), set_request("s", "k", "v"), &response);
  const auto took = std::chrono::steady_clock::now() - begin;
  INFO(status.error_message());
  REQUIRE(status.error_code() == StatusCode::UNAVAILABLE);
  REQUIRE(trailer(*limited, trailer_not_done) == "1");
  REQUIRE(trailer(*limited, trailer_leader).empty());
  REQUIRE(took > 500ms);
  REQUIRE(took < 1s);
}

TEST_CASE("without a leader and a deadline a call waits for five seconds") {
  TestServerOptions options;
  options.cluster = Cluster::none;
  TestServer server(options);
  const auto begin = std::chrono::steady_clock::now();
  grpc::ClientContext unlimited;
  pb::SetValueResponse response;
  const auto status = server.iris().SetValue(&unlimited, set_request("s", "k", "v"), &response);
  const auto took = std::chrono::steady_clock::now() - begin;
  REQUIRE(status.error_code() == StatusCode::UNAVAILABLE);
  REQUIRE(took > 4500ms);
  REQUIRE(took < 7s);
}

TEST_CASE("a write that was sent to a silent leader is of unknown outcome (hazards 42, 80)") {
  TestServerOptions options;
  options.cluster = Cluster::leaderless;
  TestServer server(options);
  // Until the node knows a leader, it says so.
  pb::StatusResponse node;
  const auto give_up = std::chrono::steady_clock::now() + 10s;
  while (node.leader_address().empty()) {
    REQUIRE(std::chrono::steady_clock::now() < give_up);
    REQUIRE(server.cluster().Status(context().get(), {}, &node).ok());
  }
  REQUIRE(node.leader_address() == "leader.example:40001");

  const auto limited = context(1s);
  pb::SetValueResponse set;
  auto status = server.iris().SetValue(limited.get(), set_request("s", "k", "v"), &set);
  INFO(status.error_message());
  REQUIRE(status.error_code() == StatusCode::DEADLINE_EXCEEDED);
  REQUIRE(status.error_message().find("the outcome is unknown") != std::string::npos);
  REQUIRE(trailer(*limited, trailer_not_done).empty());

  // A read is never in doubt; its error names the leader.
  const auto reading = context(1s);
  pb::GetValueRequest request;
  request.set_source("s");
  request.set_key("k");
  pb::GetValueResponse got;
  status = server.iris().GetValue(reading.get(), request, &got);
  REQUIRE(status.error_code() == StatusCode::UNAVAILABLE);
  REQUIRE(trailer(*reading, trailer_not_done) == "1");
  REQUIRE(trailer(*reading, trailer_leader) == "leader.example:40000");

  request.set_consistency(pb::STALE);  // needs no leader
  REQUIRE(server.iris().GetValue(context().get(), request, &got).ok());
}

TEST_CASE("many calls at once, on several connections, each get their own answer") {
  TestServer server;
  std::atomic<int> wrong = 0;
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 8; ++thread) {
    threads.emplace_back([&, thread] {
      const auto stub = pb::Iris::NewStub(server.new_channel());
      for (int i = 0; i < 100; ++i) {
        const std::string key = std::to_string(thread) + "/" + std::to_string(i);
        pb::SetValueResponse set;
        pb::GetValueRequest request;
        request.set_source("s");
        request.set_key(key);
        pb::GetValueResponse got;
        if (!stub->SetValue(context().get(), set_request("s", key, "value of " + key), &set).ok() ||
            set.value() != "value of " + key ||
            !stub->GetValue(context().get(), request, &got).ok() || got.value() != set.value() ||
            got.revision() != set.revision()) {
          ++wrong;
        }
      }
    });
  }
  for (auto& thread : threads) thread.join();
  REQUIRE(wrong == 0);
}

TEST_CASE("a cancelled call leaves the server as it was") {
  TestServerOptions options;
  options.cluster = Cluster::none;
  TestServer server(options);
  const auto waiting = context();
  pb::SetValueResponse set;
  std::thread cancel([&] { waiting->TryCancel(); });
  const auto status = server.iris().SetValue(waiting.get(), set_request("s", "k", "v"), &set);
  cancel.join();
  REQUIRE(status.error_code() == StatusCode::CANCELLED);
  pb::StatusResponse node;
  REQUIRE(server.cluster().Status(context().get(), {}, &node).ok());
}

}  // namespace
}  // namespace iris::test
