// GetSources and GetKeys through gRPC: order, pages, one revision, clients that leave or stall.
#include <thread>

#include "tests/api/server.h"
#include "tests/catch.h"

namespace iris::test {
namespace {

using namespace std::chrono_literals;
using grpc::StatusCode;

void set(TestServer& server, const std::string& source, const std::string& key,
         const std::string& value = "v") {
  pb::SetValueRequest request;
  request.set_source(source);
  request.set_key(key);
  request.set_value(value);
  pb::SetValueResponse response;
  REQUIRE(server.iris().SetValue(context().get(), request, &response).ok());
}

// Stores source/0000... source/(count - 1), many at a time.
void set_many(TestServer& server, const std::string& source, int count, const std::string& value) {
  std::vector<std::thread> threads;
  std::atomic<int> next = 0;
  std::atomic<int> failed = 0;
  for (int thread = 0; thread < 16; ++thread) {
    threads.emplace_back([&] {
      for (int i = next++; i < count; i = next++) {
        std::string key = std::to_string(i);
        key.insert(0, 6 - key.size(), '0');
        pb::SetValueRequest request;
        request.set_source(source);
        request.set_key(key);
        request.set_value(value);
        pb::SetValueResponse response;
        if (!server.iris().SetValue(context().get(), request, &response).ok()) ++failed;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  REQUIRE(failed == 0);
}

std::vector<std::string> sources(TestServer& server, const pb::GetSourcesRequest& request = {}) {
  const auto call = context();
  const auto reader = server.iris().GetSources(call.get(), request);
  std::vector<std::string> names;
  pb::GetSourcesResponse row;
  while (reader->Read(&row)) names.push_back(row.source());
  REQUIRE(reader->Finish().ok());
  return names;
}

pb::GetKeysRequest of_source(const std::string& source) {
  pb::GetKeysRequest request;
  request.set_source(source);
  return request;
}

std::vector<pb::GetKeysResponse> key_rows(TestServer& server, const pb::GetKeysRequest& request) {
  const auto call = context();
  const auto reader = server.iris().GetKeys(call.get(), request);
  std::vector<pb::GetKeysResponse> rows;
  pb::GetKeysResponse row;
  while (reader->Read(&row)) rows.push_back(row);
  const auto status = reader->Finish();
  INFO(status.error_message());
  REQUIRE(status.ok());
  return rows;
}

std::vector<std::string> keys(TestServer& server, const pb::GetKeysRequest& request) {
  std::vector<std::string> names;
  for (const auto& row : key_rows(server, request)) names.push_back(row.key());
  return names;
}

template <class Request>
grpc::Status refusal(TestServer& server, const Request& request) {
  const auto call = context();
  if constexpr (std::is_same_v<Request, pb::GetKeysRequest>) {
    return server.iris().GetKeys(call.get(), request)->Finish();
  } else {
    return server.iris().GetSources(call.get(), request)->Finish();
  }
}

using Names = std::vector<std::string>;

TEST_CASE("lists come in byte order, and a source is there while it has a key") {
  TestServer server;
  REQUIRE(sources(server).empty());
  set(server, "b", "k2");
  set(server, "a", "k");
  set(server, "B", "k");
  set(server, "b", "k1");
  set(server, "b", "\xc3\xa4");
  REQUIRE(sources(server) == Names{"B", "a", "b"});
  REQUIRE(keys(server, of_source("b")) == Names{"k1", "k2", "\xc3\xa4"});
  pb::RemoveValueRequest request;
  request.set_source("a");
  request.set_key("k");
  pb::RemoveValueResponse response;
  REQUIRE(server.iris().RemoveValue(context().get(), request, &response).ok());
  REQUIRE(sources(server) == Names{"B", "b"});
}

TEST_CASE("the keys of an unknown source are an empty list") {
  TestServer server;
  REQUIRE(keys(server, of_source("nothing")).empty());
}

TEST_CASE("prefix, start_after and limit choose a part") {
  TestServer server;
  for (const char* name : {"a", "ab", "abc", "b", "ba"}) {
    set(server, name, "k");
    set(server, "s", name);
  }
  auto request = of_source("s");
  request.set_prefix("a");
  REQUIRE(keys(server, request) == Names{"a", "ab", "abc"});
  request.set_start_after("a");
  REQUIRE(keys(server, request) == Names{"ab", "abc"});
  request.set_limit(1);
  REQUIRE(keys(server, request) == Names{"ab"});
  request.set_prefix("");
  request.set_start_after("abc");
  request.set_limit(0);
  REQUIRE(keys(server, request) == Names{"b", "ba"});

  pb::GetSourcesRequest of;
  of.set_prefix("b");
  REQUIRE(sources(server, of) == Names{"b", "ba"});
  of.set_prefix("");
  of.set_start_after("b");
  REQUIRE(sources(server, of) == Names{"ba", "s"});
  of.set_limit(1);
  REQUIRE(sources(server, of) == Names{"ba"});
}

TEST_CASE("values and revisions come with the keys where they are asked for") {
  TestServer server;
  set(server, "s", "k", "value");
  auto request = of_source("s");
  auto rows = key_rows(server, request);
  REQUIRE(rows.size() == 1);
  REQUIRE(rows[0].value().empty());
  REQUIRE(rows[0].revision() == 0);
  request.set_with_values(true);
  rows = key_rows(server, request);
  REQUIRE(rows.size() == 1);
  REQUIRE(rows[0].value() == "value");
  REQUIRE(rows[0].revision() > 0);
}

TEST_CASE("a list of many pages is whole, in order and without repetition (hazard 77)") {
  TestServer server;
  // 512 rows are a page: one full, one more, and limits around them.
  set_many(server, "s", 1'100, "v");
  Names all;
  for (int i = 0; i < 1'100; ++i) {
    const std::string digits = std::to_string(i);
    all.push_back(std::string(6 - digits.size(), '0') + digits);
  }
  auto request = of_source("s");
  REQUIRE(keys(server, request) == all);
  for (const std::size_t limit : {511, 512, 513, 1'024, 1'025, 1'099, 1'100, 1'101}) {
    CAPTURE(limit);
    request.set_limit(limit);
    const Names part(all.begin(), all.begin() + static_cast<long>(std::min(limit, all.size())));
    REQUIRE(keys(server, request) == part);
  }
}

TEST_CASE("values greater than a page still come one by one") {
  TestServer server;
  for (const char* key : {"a", "b", "c"}) set(server, "s", key, std::string(1u << 20, *key));
  auto request = of_source("s");
  request.set_with_values(true);
  const auto rows = key_rows(server, request);
  REQUIRE(rows.size() == 3);
  REQUIRE(rows[2].value() == std::string(1u << 20, 'c'));
}

TEST_CASE("a list shows one revision, whatever is written meanwhile (hazard 77)") {
  TestServer server;
  set_many(server, "s", 1'500, std::string(10'000, 'x'));  // more than the connection buffers
  auto request = of_source("s");
  request.set_with_values(true);
  const auto call = context();
  const auto reader = server.iris().GetKeys(call.get(), request);
  pb::GetKeysResponse row;
  REQUIRE(reader->Read(&row));  // the list has begun
  set(server, "s", "000000", "changed");
  set(server, "s", "001499", "changed");
  set(server, "s", "zzz", "new");
  pb::RemoveValueRequest removal;
  removal.set_source("s");
  removal.set_key("001498");
  pb::RemoveValueResponse removed;
  REQUIRE(server.iris().RemoveValue(context().get(), removal, &removed).ok());
  int rows = 1;
  std::string last;
  while (reader->Read(&row)) {
    ++rows;
    REQUIRE(row.value() == std::string(10'000, 'x'));
    last = row.key();
  }
  REQUIRE(reader->Finish().ok());
  REQUIRE(rows == 1'500);
  REQUIRE(last == "001499");
}

TEST_CASE("the error of a list request names its field") {
  TestServerOptions options;
  options.api.limits.name_bytes_max = 10;
  TestServer server(options);
  const auto refused = [](const grpc::Status& status, const std::string& text) {
    INFO(status.error_message());
    REQUIRE(status.error_code() == StatusCode::INVALID_ARGUMENT);
    REQUIRE(status.error_message().find(text) != std::string::npos);
  };
  refused(refusal(server, of_source("")), "provide a source");
  refused(refusal(server, of_source("12345678901")), "source is 11 bytes");
  auto request = of_source("s");
  request.set_prefix("12345678901");
  refused(refusal(server, request), "prefix is 11 bytes");
  request.set_prefix("");
  request.set_start_after("12345678901");
  refused(refusal(server, request), "start_after is 11 bytes");
  pb::GetSourcesRequest of;
  of.set_session("12345678901");
  refused(refusal(server, of), "session is 11 bytes");
  of.set_session("");
  of.set_consistency(static_cast<pb::Consistency>(9));
  refused(refusal(server, of), "consistency is 9");
}

TEST_CASE("without a leader a list is UNAVAILABLE, and a stale one is served") {
  TestServerOptions options;
  options.cluster = TestServerOptions::Cluster::none;
  TestServer server(options);
  const auto call = context(1s);
  REQUIRE(server.iris().GetKeys(call.get(), of_source("s"))->Finish().error_code() ==
          StatusCode::UNAVAILABLE);
  auto request = of_source("s");
  request.set_consistency(pb::STALE);
  REQUIRE(keys(server, request).empty());
}

// The number of lists that are open on the server, which the client cannot see.
std::size_t open_lists(TestServer& server) {
  return server.on_loop([&] { return server.api().open_answers(); });
}

void await_no_lists(TestServer& server) {
  const auto give_up = std::chrono::steady_clock::now() + 20s;
  while (open_lists(server) > 0) {
    REQUIRE(std::chrono::steady_clock::now() < give_up);
    std::this_thread::yield();
  }
}

TEST_CASE("a client that leaves in the middle ends its list") {
  TestServer server;
  set_many(server, "s", 1'500, std::string(10'000, 'x'));
  auto request = of_source("s");
  request.set_with_values(true);
  const auto call = context();
  const auto reader = server.iris().GetKeys(call.get(), request);
  pb::GetKeysResponse row;
  REQUIRE(reader->Read(&row));
  REQUIRE(open_lists(server) == 1);
  call->TryCancel();
  REQUIRE(reader->Finish().error_code() == StatusCode::CANCELLED);
  await_no_lists(server);
}

TEST_CASE("a client that does not read is cut off, so that it pins no state (hazard 92)") {
  TestServerOptions options;
  options.api.answer_stall_ms = 200;
  TestServer server(options);
  set_many(server, "s", 1'500, std::string(10'000, 'x'));
  auto request = of_source("s");
  request.set_with_values(true);
  const auto call = context();
  const auto reader = server.iris().GetKeys(call.get(), request);
  pb::GetKeysResponse row;
  REQUIRE(reader->Read(&row));
  await_no_lists(server);
  while (reader->Read(&row)) {
  }
  REQUIRE_FALSE(reader->Finish().ok());
  REQUIRE(keys(server, of_source("s")).size() == 1'500);  // others are served
}

}  // namespace
}  // namespace iris::test
