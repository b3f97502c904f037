// Listen through gRPC, as the clients of 2017 used it, and with the newer fields. The content of
// streams is tested in tests/listeners, the gRPC side here.
#include <atomic>
#include <map>
#include <optional>
#include <thread>

#include "src/api/stream_call.h"
#include "tests/api/server.h"
#include "tests/catch.h"

namespace iris::test {
namespace {

using namespace std::chrono_literals;
using grpc::StatusCode;

void set(TestServer& server, const std::string& source, const std::string& key,
         const std::string& value) {
  pb::SetValueRequest request;
  request.set_source(source);
  request.set_key(key);
  request.set_value(value);
  pb::SetValueResponse response;
  REQUIRE(server.iris().SetValue(context().get(), request, &response).ok());
}

void subscribe(TestServer& server, const std::string& session, const std::string& source) {
  pb::SubscribeRequest request;
  request.set_session(session);
  request.set_source(source);
  pb::SubscribeResponse response;
  REQUIRE(server.iris().Subscribe(context().get(), request, &response).ok());
}

void subscribe_key(TestServer& server, const std::string& session, const std::string& source,
                   const std::string& key) {
  pb::SubscribeKeyRequest request;
  request.set_session(session);
  request.set_source(source);
  request.set_key(key);
  pb::SubscribeKeyResponse response;
  REQUIRE(server.iris().SubscribeKey(context().get(), request, &response).ok());
  REQUIRE(response.source() == source);
  REQUIRE(response.key() == key);
}

struct Listening {
  Listening(TestServer& server, const pb::ListenRequest& request,
            std::unique_ptr<grpc::ClientContext> given = context())
      : call(std::move(given)), reader(server.iris().Listen(call.get(), request)) {}
  Listening(TestServer& server, const std::string& session)
      : Listening(server, [&] {
          pb::ListenRequest request;
          request.set_session(session);
          return request;
        }()) {}
  std::unique_ptr<grpc::ClientContext> call;
  std::unique_ptr<grpc::ClientReader<pb::Update>> reader;

  pb::Update next() {
    pb::Update update;
    REQUIRE(reader->Read(&update));
    return update;
  }
};

// A client like those of 2017 in Go and Node: one goroutine or event handler reads the stream of
// the session through all subscriptions and unsubscriptions, and calls the handler of the update's
// source, or of its source and key.
class OldClient {
 public:
  explicit OldClient(TestServer& server) : server_(server) {
    pb::ConnectResponse response;
    REQUIRE(server.iris().Connect(context().get(), {}, &response).ok());
    session_ = response.session();
    listening_.emplace(server, session_);
  }
  void on(const std::string& source, std::vector<std::string>& calls) {
    handlers_[source] = &calls;
    subscribe(server_, session_, source);
  }
  void on(const std::string& source, const std::string& key, std::vector<std::string>& calls) {
    handlers_[source + "/" + key] = &calls;
    subscribe_key(server_, session_, source, key);
  }
  void off(const std::string& source) {
    pb::UnsubscribeRequest request;
    request.set_session(session_);
    request.set_source(source);
    pb::UnsubscribeResponse response;
    REQUIRE(server_.iris().Unsubscribe(context().get(), request, &response).ok());
    REQUIRE(response.source() == source);
  }
  void off(const std::string& source, const std::string& key) {
    pb::UnsubscribeKeyRequest request;
    request.set_session(session_);
    request.set_source(source);
    request.set_key(key);
    pb::UnsubscribeKeyResponse response;
    REQUIRE(server_.iris().UnsubscribeKey(context().get(), request, &response).ok());
    REQUIRE(response.source() == source);
    REQUIRE(response.key() == key);
  }
  // The next update, for which a handler is or was registered.
  void hear() {
    const auto update = listening_->next();
    REQUIRE(update.op() != pb::Update::BOOKMARK);  // bookmarks are sent on request only
    REQUIRE(update.op() != pb::Update::SYNCED);
    auto handler = handlers_.find(update.source() + "/" + update.key());
    if (handler == handlers_.end()) handler = handlers_.find(update.source());
    REQUIRE(handler != handlers_.end());
    handler->second->push_back(update.key() + "=" + update.value());
  }

 private:
  TestServer& server_;
  std::string session_;
  std::optional<Listening> listening_;
  std::map<std::string, std::vector<std::string>*> handlers_;
};

using Calls = std::vector<std::string>;

TEST_CASE("the pattern of the clients of 2017: Connect, Listen, Subscribe, handlers, Unsubscribe") {
  TestServer server;
  OldClient client(server);
  Calls colors, red, other;
  set(server, "colors", "sky", "before");  // nobody has subscribed yet
  client.on("colors", colors);
  client.on("sizes", "red", red);
  client.on("end", other);
  set(server, "colors", "sky", "blue");
  set(server, "sizes", "green", "not subscribed to");
  set(server, "sizes", "red", "1");
  set(server, "colors", "sky", "blue");  // the same value is a new update
  for (int i = 0; i < 3; ++i) client.hear();
  CHECK(colors == Calls{"sky=blue", "sky=blue"});
  CHECK(red == Calls{"red=1"});

  // Subscribed twice, the source and a key of it: still once.
  client.on("colors", colors);
  client.on("colors", "sea", colors);
  set(server, "colors", "sea", "green");
  set(server, "end", "1", "");
  for (int i = 0; i < 2; ++i) client.hear();
  CHECK(colors == Calls{"sky=blue", "sky=blue", "sea=green"});
  CHECK(other == Calls{"1="});

  // The key goes on when the source is given up.
  client.off("colors");
  set(server, "colors", "sky", "grey");
  set(server, "colors", "sea", "grey");
  client.off("colors", "sea");
  client.off("sizes", "red");
  set(server, "colors", "sea", "black");
  set(server, "sizes", "red", "2");
  set(server, "end", "2", "");
  for (int i = 0; i < 2; ++i) client.hear();
  CHECK(colors == Calls{"sky=blue", "sky=blue", "sea=green", "sea=grey"});
  CHECK(red == Calls{"red=1"});
  CHECK(other == Calls{"1=", "2="});

  // And back again.
  client.on("sizes", "red", red);
  set(server, "sizes", "red", "3");
  client.hear();
  CHECK(red == Calls{"red=1", "red=3"});
}

TEST_CASE("updates of a subscribed source come in order, with their revision") {
  TestServer server;
  subscribe(server, "S", "colors");
  Listening listening(server, "S");
  for (int i = 0; i < 100; ++i) set(server, "colors", std::to_string(i), "v" + std::to_string(i));
  set(server, "sizes", "k", "v");
  std::uint64_t last = 0;
  for (int i = 0; i < 100; ++i) {
    const auto update = listening.next();
    REQUIRE(update.source() == "colors");
    REQUIRE(update.key() == std::to_string(i));
    REQUIRE(update.value() == "v" + std::to_string(i));
    REQUIRE(update.op() == pb::Update::PUT);
    REQUIRE(update.revision() > last);
    last = update.revision();
  }
}

TEST_CASE("updates between Subscribe and Listen are not lost") {
  TestServer server;
  subscribe(server, "S", "colors");
  set(server, "colors", "sky", "blue");
  Listening listening(server, "S");
  REQUIRE(listening.next().value() == "blue");
}

TEST_CASE("a removal is an update with an empty value") {
  TestServer server;
  set(server, "colors", "sky", "blue");
  subscribe(server, "S", "colors");
  Listening listening(server, "S");
  pb::RemoveValueRequest request;
  request.set_source("colors");
  request.set_key("sky");
  pb::RemoveValueResponse response;
  REQUIRE(server.iris().RemoveValue(context().get(), request, &response).ok());
  const auto update = listening.next();
  REQUIRE(update.key() == "sky");
  REQUIRE(update.value().empty());
  REQUIRE(update.op() == pb::Update::REMOVE);
}

TEST_CASE("one update reaches many streams as it is") {
  TestServer server;
  std::vector<std::unique_ptr<Listening>> all;
  for (int i = 0; i < 50; ++i) {
    const std::string session = "S" + std::to_string(i);
    subscribe(server, session, "s");
    all.push_back(std::make_unique<Listening>(server, session));
  }
  const std::string value(100'000, 'v');
  set(server, "s", "k", value);
  for (const auto& listening : all) REQUIRE(listening->next().value() == value);
}

TEST_CASE("the state comes first where it is asked for, then SYNCED") {
  TestServer server;
  set(server, "colors", "sky", "blue");
  subscribe(server, "S", "colors");
  pb::ListenRequest request;
  request.set_session("S");
  request.set_send_initial(true);
  Listening listening(server, request);
  REQUIRE(listening.next().value() == "blue");
  REQUIRE(listening.next().op() == pb::Update::SYNCED);
  set(server, "colors", "sky", "grey");
  REQUIRE(listening.next().value() == "grey");
}

TEST_CASE("a second Listen ends the first with ABORTED (hazard 93)") {
  TestServer server;
  subscribe(server, "S", "s");
  Listening first(server, "S");
  set(server, "s", "k", "1");
  REQUIRE(first.next().value() == "1");
  pb::ListenRequest request;
  request.set_session("S");
  request.set_heartbeat_ms(1'000);  // a first mark comes at once
  Listening second(server, request);
  second.next();
  pb::Update update;
  REQUIRE_FALSE(first.reader->Read(&update));
  REQUIRE(first.reader->Finish().error_code() == StatusCode::ABORTED);
}

TEST_CASE("a stop ends streams with UNAVAILABLE, so that clients move on") {
  TestServer server;
  subscribe(server, "S", "s");
  Listening listening(server, "S");
  set(server, "s", "k", "1");
  REQUIRE(listening.next().value() == "1");
  const auto begin = std::chrono::steady_clock::now();
  server.stop(5'000);
  REQUIRE(std::chrono::steady_clock::now() - begin < 4s);
  pb::Update update;
  REQUIRE_FALSE(listening.reader->Read(&update));
  REQUIRE(listening.reader->Finish().error_code() == StatusCode::UNAVAILABLE);
}

std::size_t streams(TestServer& server) {
  return server.on_loop([&] { return server.listeners().status().listeners; });
}

void await_streams(TestServer& server, std::size_t count) {
  const auto give_up = std::chrono::steady_clock::now() + 20s;
  while (streams(server) != count) {
    REQUIRE(std::chrono::steady_clock::now() < give_up);
    std::this_thread::yield();
  }
}

TEST_CASE("a quiet stream whose client leaves is forgotten (hazard 93)") {
  TestServer server;
  subscribe(server, "S", "s");
  Listening listening(server, "S");
  await_streams(server, 1);
  listening.call->TryCancel();
  REQUIRE(listening.reader->Finish().error_code() == StatusCode::CANCELLED);
  await_streams(server, 0);
}

TEST_CASE("a busy stream whose client leaves is forgotten, and the others go on (hazard 93)") {
  TestServer server;
  subscribe(server, "S", "s");
  subscribe(server, "T", "s");
  Listening leaving(server, "S");
  Listening staying(server, "T");
  for (int i = 0; i < 200; ++i) {
    set(server, "s", "k", std::to_string(i));
    if (i == 100) leaving.call->TryCancel();
  }
  for (int i = 0; i < 200; ++i) REQUIRE(staying.next().value() == std::to_string(i));
  await_streams(server, 1);
}

TEST_CASE("a stream that nobody reads is broken off by a stop") {
  TestServer server;
  subscribe(server, "S", "s");
  Listening listening(server, "S");
  const std::string value(2u << 20, 'v');
  for (int i = 0; i < 10; ++i) set(server, "s", std::to_string(i), value);
  const auto begin = std::chrono::steady_clock::now();
  server.stop(200);
  REQUIRE(std::chrono::steady_clock::now() - begin < 5s);
}

TEST_CASE("a stream that was taken over and that nobody reads is broken off in time") {
  TestServerOptions options;
  options.api.answer_stall_ms = 1'000;
  TestServer server(options);
  subscribe(server, "S", "s");
  Listening first(server, "S");
  set(server, "s", "k", "first");
  REQUIRE(first.next().value() == "first");
  const std::string big(2u << 20, 'x');
  for (int i = 0; i < 10; ++i) set(server, "s", "k", big);  // more than a client's window
  Listening second(server, "S");
  const auto await_open = [&](std::size_t count) {
    const auto give_up = std::chrono::steady_clock::now() + 20s;
    while (server.on_loop([&] { return server.api().open_answers(); }) != count) {
      REQUIRE(std::chrono::steady_clock::now() < give_up);
      std::this_thread::yield();
    }
  };
  await_open(1);
  set(server, "s", "k", "last");
  while (second.next().value() != "last") continue;
  await_open(0);
  pb::Update update;
  while (first.reader->Read(&update)) continue;
  REQUIRE_FALSE(first.reader->Finish().ok());
}

TEST_CASE("rows share packets, but none is held back for long") {
  RowPacking packing;
  CHECK_FALSE(packing.may_wait(true));  // the first never
  for (int packet = 0; packet < 3; ++packet) {
    for (std::size_t row = 0; row < rows_held_max; ++row) CHECK(packing.may_wait(true));
    CHECK_FALSE(packing.may_wait(true));
  }
  CHECK(packing.may_wait(true));
  CHECK_FALSE(packing.may_wait(false));
  for (std::size_t row = 0; row < rows_held_max; ++row) CHECK(packing.may_wait(true));
  CHECK_FALSE(packing.may_wait(true));
}

// Otherwise a client that gives up silent streams would begin anew for ever.
TEST_CASE("the updates of a slow node come bit by bit, not at the end") {
  constexpr std::uint64_t updates = 400;
  TestServer server;
  subscribe(server, "S", "s");
  for (std::uint64_t i = 0; i < updates; ++i) set(server, "s", std::to_string(i), "");
  std::atomic<bool> over = false;
  std::thread burden([&] {
    while (!over) server.on_loop([] { std::this_thread::sleep_for(2ms); });
  });
  Listening listening(server, "S");
  listening.next();
  listening.next();
  const auto written = server.on_loop([&] { return server.listeners().status().delivered; });
  over = true;
  burden.join();
  CHECK(written < updates / 2);
  for (std::uint64_t i = 2; i < updates; ++i) CHECK(listening.next().key() == std::to_string(i));
}

TEST_CASE("a deadline ends a stream") {
  TestServer server;
  subscribe(server, "S", "s");
  pb::ListenRequest request;
  request.set_session("S");
  Listening listening(server, request, context(300ms));
  pb::Update update;
  REQUIRE_FALSE(listening.reader->Read(&update));
  REQUIRE(listening.reader->Finish().error_code() == StatusCode::DEADLINE_EXCEEDED);
  await_streams(server, 0);
}

}  // namespace
}  // namespace iris::test
