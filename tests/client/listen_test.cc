// Listeners against fake nodes: a stream that goes on, on whatever node, without gap or duplicate.
#include <algorithm>
#include <chrono>
#include <functional>
#include <mutex>
#include <set>
#include <thread>

#include "src/client/client.h"
#include "tests/catch.h"
#include "tests/client/fake_iris.h"
#include "tests/client/told.h"

using iris::Client;
using iris::client::Code;
using iris::client::Listener;
using iris::client::ListenHandlers;
using iris::client::ListenOptions;
using iris::client::Position;
using iris::client::Update;
using iris::test::FakeCluster;
using iris::test::FakeIris;
using iris::test::listen;
using iris::test::make_client;
using iris::test::MuteNode;
using iris::test::Texts;
using iris::test::Told;
using namespace std::chrono_literals;
using Op = Update::Op;

namespace {

// It moves when the handler has returned, so a moment after the handler was told.
bool await_position(const Listener& listener, std::uint64_t revision) {
  const auto give_up = std::chrono::steady_clock::now() + 20s;
  while (listener.position() != Position{revision, ""}) {
    if (std::chrono::steady_clock::now() > give_up) return false;
    std::this_thread::yield();
  }
  return true;
}

}  // namespace

TEST_CASE("a listener delivers in order what happens after it began") {
  const auto cluster = std::make_shared<FakeCluster>();
  FakeIris node(cluster);
  cluster->set("s", "before", "x");
  Client client = make_client({node.address()});
  Told told;
  const Listener listener = listen(client, told, {.heartbeat = 100ms});
  REQUIRE(told.await_connected(1));
  cluster->set("s", "a", "1");
  cluster->set("other", "a", "1");
  cluster->set("s", "a", "2");
  cluster->remove_source("s");
  REQUIRE(told.await(4));
  CHECK(told.updates() == Texts{"s/a=1@12", "s/a=2@14", "s/a-@15", "s/before-@15"});
  REQUIRE(told.await_bookmark(15));
  CHECK(await_position(listener, 15));
}

TEST_CASE(
    "topics may be sources and keys; the state comes first where it is asked for (hazard 85)") {
  const auto cluster = std::make_shared<FakeCluster>();
  FakeIris node(cluster);
  cluster->set("s", "a", "1");
  cluster->set("t", "a", "1");
  cluster->set("t", "b", "1");
  Client client = make_client({node.address()});
  Told told;
  const Listener listener =
      listen(client, told, {.topics = {{"s", std::nullopt}, {"t", "b"}}, .send_initial = true});
  REQUIRE(told.await(3));
  cluster->set("t", "a", "2");
  cluster->set("t", "b", "2");
  REQUIRE(told.await(4));
  CHECK(told.updates() == Texts{"s/a=1@11", "t/b=1@13", "synced@13", "t/b=2@15"});
}

TEST_CASE("a listener whose node dies goes on at another, without gap or duplicate (hazard 86)") {
  const auto cluster = std::make_shared<FakeCluster>();
  auto first = std::make_unique<FakeIris>(cluster);
  FakeIris second(cluster);
  Client client = make_client({first->address(), second.address()});
  Told told;
  const Listener listener = listen(client, told, {});
  REQUIRE(told.await_connected(1));
  cluster->set("s", "a", "1");
  REQUIRE(told.await(1));
  first->kill();
  cluster->set("s", "b", "2");
  REQUIRE(told.await(2));
  CHECK(told.updates() == Texts{"s/a=1@11", "s/b=2@12"});
  CHECK(told.connected() == std::vector{first->address(), second.address()});
  CHECK(told.lost().size() == 1);
}

TEST_CASE("a stream that is cut within a removed source goes on within it (hazard 89)") {
  const auto cluster = std::make_shared<FakeCluster>();
  FakeIris node(cluster);
  for (const char* key : {"a", "b", "c", "d", "e"}) cluster->set("s", key, "x");
  std::set<std::string> cut;
  // Each update of the removal breaks the stream once. (One stream at a time calls this.)
  node.on_stream = [&](const iris::pb::Update& update) {
    return update.op() != iris::pb::Update::REMOVE || !cut.insert(update.key()).second;
  };
  Client client = make_client({node.address()});
  Told told;
  const Listener listener = listen(client, told, {});
  REQUIRE(told.await_connected(1));
  cluster->remove_source("s");
  cluster->set("s", "z", "end");
  REQUIRE(told.await(6));
  CHECK(told.updates() ==
        Texts{"s/a-@16", "s/b-@16", "s/c-@16", "s/d-@16", "s/e-@16", "s/z=end@17"});
  CHECK(told.lost().size() >= 5);
}

TEST_CASE("what the cluster has forgotten is told by resync and state (hazard 87)") {
  const auto cluster = std::make_shared<FakeCluster>();
  auto first = std::make_unique<FakeIris>(cluster);
  const int port = first->port();
  Client client = make_client({first->address()});
  Told told;
  const Listener listener = listen(client, told, {});
  REQUIRE(told.await_connected(1));
  cluster->set("s", "a", "1");
  REQUIRE(told.await(1));
  first.reset();
  cluster->set("s", "b", "2");
  cluster->set("s", "c", "3");
  cluster->trim();
  first = std::make_unique<FakeIris>(cluster, port);
  REQUIRE(told.await(6));
  CHECK(told.updates() ==
        Texts{"s/a=1@11", "resync", "s/a=1@11", "s/b=2@12", "s/c=3@13", "synced@13"});
  CHECK(await_position(listener, 13));
}

TEST_CASE("a state that is cut off half way begins anew, announced by a resync") {
  const auto cluster = std::make_shared<FakeCluster>();
  FakeIris node(cluster);
  for (const char* key : {"a", "b", "c"}) cluster->set("s", key, "x");
  std::atomic<int> sent = 0;
  node.on_stream = [&](const iris::pb::Update& update) {
    return update.op() != iris::pb::Update::PUT || ++sent != 3;
  };
  Client client = make_client({node.address()});
  Told told;
  const Listener listener = listen(client, told, {.send_initial = true});
  REQUIRE(told.await(7));
  CHECK(told.updates() ==
        Texts{"s/a=x@11", "s/b=x@12", "resync", "s/a=x@11", "s/b=x@12", "s/c=x@13", "synced@13"});
}

TEST_CASE("a session that expired meanwhile is made anew, and nothing is missed") {
  const auto cluster = std::make_shared<FakeCluster>();
  auto node = std::make_unique<FakeIris>(cluster);
  const int port = node->port();
  Client client = make_client({node->address()});
  Told told;
  const Listener listener = listen(client, told, {});
  REQUIRE(told.await_connected(1));
  cluster->set("s", "a", "1");
  REQUIRE(told.await(1));
  node.reset();
  cluster->set("s", "b", "2");
  cluster->expire_sessions();
  cluster->set("s", "c", "3");
  node = std::make_unique<FakeIris>(cluster, port);
  REQUIRE(told.await(3));
  CHECK(told.updates() == Texts{"s/a=1@11", "s/b=2@12", "s/c=3@13"});
}

TEST_CASE("a session that expired before anything came is made up for by its state") {
  const auto cluster = std::make_shared<FakeCluster>();
  FakeIris node(cluster);
  std::atomic<int> listens = 0;
  ListenOptions options;
  Texts expected = {"resync", "s/a=1@11", "synced@11", "s/b=2@12"};
  std::function<std::optional<grpc::Status>()> meanwhile;
  SECTION("as the node says") {
    meanwhile = [] { return grpc::Status(grpc::StatusCode::NOT_FOUND, "it expired"); };
  }
  SECTION("as the node does not say: Listen took so long that it may have") {
    meanwhile = []() -> std::optional<grpc::Status> {
      std::this_thread::sleep_for(600ms);  // time itself: a session lives for no less than 1 s
      return std::nullopt;
    };
  }
  SECTION("as the node does not say, and the state was to come first") {
    options.send_initial = true;
    expected.erase(expected.begin());  // there is nothing to forget
    meanwhile = []() -> std::optional<grpc::Status> {
      std::this_thread::sleep_for(600ms);
      return std::nullopt;
    };
  }
  node.before = [&](std::string_view method, grpc::ServerContext&) -> std::optional<grpc::Status> {
    if (method != "Listen" || listens++ > 0) return std::nullopt;
    cluster->expire_sessions();
    cluster->set("s", "a", "1");
    return meanwhile();
  };
  Client client = make_client({node.address()});
  Told told;
  const Listener listener = listen(client, told, options);
  REQUIRE(told.await(expected.size() - 1));
  cluster->set("s", "b", "2");
  REQUIRE(told.await(expected.size()));
  CHECK(told.updates() == expected);
}

TEST_CASE("a session that may have expired while no node could be asked is not relied on") {
  const auto cluster = std::make_shared<FakeCluster>();
  FakeIris node(cluster);
  constexpr int readers = 8;
  std::atomic<int> reads = 0;
  std::atomic<int> listens = 0;
  Client client = make_client({node.address()});
  // gRPC orders what the threads do with the client; ThreadSanitizer, which does not see into it,
  // goes by these.
  std::atomic<bool> made = false;
  std::atomic<bool> failed = false;
  made = true;
  // So many fail at once that the node is passed over for more than a second. Then Listen fails.
  node.before = [&](std::string_view method, grpc::ServerContext&) -> std::optional<grpc::Status> {
    if (method == "GetValue") {
      ++reads;
      while (reads < readers) std::this_thread::yield();
      return grpc::Status(grpc::StatusCode::UNAVAILABLE, "Socket closed");
    }
    if (method != "Listen" || listens++ > 0) return std::nullopt;
    while (!made) std::this_thread::yield();
    std::vector<std::thread> threads;
    threads.reserve(readers);
    for (int i = 0; i < readers; ++i) {
      threads.emplace_back([&] { static_cast<void>(client.get("s", "k", {.timeout = 300ms})); });
    }
    for (auto& thread : threads) thread.join();
    cluster->expire_sessions();
    cluster->set("s", "a", "1");
    failed = true;
    return grpc::Status(grpc::StatusCode::UNAVAILABLE, "Socket closed");
  };
  Told told;
  const Listener listener = listen(client, told, {});
  REQUIRE(told.await(3));
  REQUIRE(failed);
  CHECK(told.updates() == Texts{"resync", "s/a=1@11", "synced@11"});
}

TEST_CASE("a node that takes long to begin a stream costs no resync") {
  const auto cluster = std::make_shared<FakeCluster>();
  FakeIris node(cluster);
  cluster->set("s", "a", "1");
  std::atomic<int> listens = 0;
  std::atomic<int> broken = 0;
  node.before = [&](std::string_view method, grpc::ServerContext&) -> std::optional<grpc::Status> {
    if (method != "Listen") return std::nullopt;
    if (++listens == broken) return grpc::Status(grpc::StatusCode::UNAVAILABLE, "Socket closed");
    std::this_thread::sleep_for(600ms);  // time itself, as above
    return std::nullopt;
  };
  Client client = make_client({node.address()});
  Told told;
  SECTION("from now on") {
    SECTION("and no stream breaks") {}
    SECTION("and the stream breaks that would have proved that the session lives") { broken = 2; }
    const Listener listener = listen(client, told, {});
    REQUIRE(told.await_connected(1));
    cluster->set("s", "b", "2");
    REQUIRE(told.await(1));
    CHECK(told.updates() == Texts{"s/b=2@12"});
  }
  SECTION("with the state first, which is empty") {
    const Listener listener = listen(client, told, {.topics = {{"t", {}}}, .send_initial = true});
    REQUIRE(told.await(1));
    cluster->set("t", "b", "2");
    REQUIRE(told.await(2));
    CHECK(told.updates() == Texts{"synced@11", "t/b=2@12"});
  }
  CHECK(told.lost().size() == (broken == 0 ? 0 : 1));
}

TEST_CASE("a new listener goes on from a position that was kept") {
  const auto cluster = std::make_shared<FakeCluster>();
  FakeIris node(cluster);
  Client client = make_client({node.address()});
  Position kept;
  {
    Told told;
    const Listener listener = listen(client, told, {.heartbeat = 100ms});
    REQUIRE(told.await_connected(1));
    cluster->set("s", "a", "1");
    REQUIRE(told.await(1));
    REQUIRE(await_position(listener, 11));
    kept = listener.position();
  }
  cluster->set("s", "b", "2");
  Told told;
  const Listener listener = listen(client, told, {.after = kept});
  REQUIRE(told.await(1));
  CHECK(told.updates() == Texts{"s/b=2@12"});
}

TEST_CASE("a node that says nothing is left for another (hazard 94)") {
  const auto cluster = std::make_shared<FakeCluster>();
  MuteNode mute(cluster);
  FakeIris second(cluster);
  Client client = make_client({mute.node.address(), second.address()});
  Told told;
  const Listener listener = listen(client, told, {.heartbeat = 100ms});
  REQUIRE(told.await_connected(1));
  mute.fall_silent();
  cluster->set("s", "a", "1");
  REQUIRE(told.await(1));
  CHECK(told.updates() == Texts{"s/a=1@11"});
  CHECK(told.connected().back() == second.address());
  CHECK(told.lost().at(0).text.find("said nothing for 300 ms") != std::string::npos);
}

TEST_CASE("a listener whose session is taken over ends, and says so") {
  FakeIris node(std::make_shared<FakeCluster>());
  node.after = [](std::string_view method, grpc::ServerContext&) -> std::optional<grpc::Status> {
    if (method != "Listen") return std::nullopt;
    return grpc::Status(grpc::StatusCode::ABORTED, "another Listen took this session over");
  };
  node.on_stream = [](const iris::pb::Update&) { return false; };
  Client client = make_client({node.address()});
  Told told;
  const Listener listener = listen(client, told, {});
  REQUIRE(told.await_end());
  CHECK(told.end().code == Code::conflict);
  CHECK(listener.wait(10s));
  CHECK(node.calls("Listen") == 1);
}

TEST_CASE("a server that does not serve Listen ends the listener at once") {
  FakeIris node(std::make_shared<FakeCluster>());
  node.before = [](std::string_view method, grpc::ServerContext&) -> std::optional<grpc::Status> {
    if (method != "Listen") return std::nullopt;
    return grpc::Status(grpc::StatusCode::UNIMPLEMENTED, "not in this version");
  };
  Client client = make_client({node.address()});
  Told told;
  const Listener listener = listen(client, told, {});
  REQUIRE(told.await_end());
  CHECK(told.end().code == Code::unsupported);
}

TEST_CASE("a listener waits for a cluster that is not there yet, and stops at once when told") {
  const auto cluster = std::make_shared<FakeCluster>();
  auto node = std::make_unique<FakeIris>(cluster);
  const int port = node->port();
  const std::string address = node->address();
  node.reset();
  Client client = make_client({address});
  Told told;
  {
    const Listener listener = listen(client, told, {});
    node = std::make_unique<FakeIris>(cluster, port);
    REQUIRE(told.await_connected(1));
  }
  node.reset();
  Listener listener = listen(client, told, {});
  const auto start = std::chrono::steady_clock::now();
  listener.stop();
  CHECK(listener.wait(10s));
  CHECK(std::chrono::steady_clock::now() - start < 2s);
}

TEST_CASE("a listener may be stopped from its own callback, and calls back no more") {
  const auto cluster = std::make_shared<FakeCluster>();
  FakeIris node(cluster);
  Client client = make_client({node.address()});
  std::mutex mutex;
  Listener* self = nullptr;
  std::atomic<int> puts = 0;
  auto listener = client.listen({.topics = {{"s", std::nullopt}}, .heartbeat = 100ms},
                                {.on_update = [&](const Update& update) {
                                  if (update.op != Op::put) return;
                                  ++puts;
                                  const std::lock_guard lock(mutex);
                                  self->stop();
                                }});
  REQUIRE(listener);
  {
    const std::lock_guard lock(mutex);
    self = &*listener;
  }
  REQUIRE(node.await_calls("Listen", 1));
  for (int i = 0; i < 20; ++i) cluster->set("s", "a", "1");
  REQUIRE(listener->wait(10s));
  CHECK(puts == 1);
}

TEST_CASE("a listener that is stopped by one callback makes no other") {
  const auto cluster = std::make_shared<FakeCluster>();
  FakeIris node(cluster);
  cluster->set("s", "a", "1");
  Client client = make_client({node.address()});
  std::mutex mutex;
  Listener* self = nullptr;
  std::atomic<int> updates = 0;
  const auto stop = [&] {
    const std::lock_guard lock(mutex);
    self->stop();
  };
  std::optional<iris::client::Result<Listener>> listener;
  {
    const std::lock_guard lock(mutex);
    listener.emplace(client.listen({.topics = {{"s", std::nullopt}}, .send_initial = true},
                                   {.on_update = [&](const Update&) { ++updates; },
                                    .on_connected = [&](const std::string&) { stop(); }}));
    REQUIRE(*listener);
    self = &**listener;
  }
  REQUIRE((*listener)->wait(10s));
  CHECK(updates == 0);
  CHECK((*listener)->position() == Position{});
}

TEST_CASE("what a listener cannot be told is refused at once") {
  Client client = make_client({"127.0.0.1:1"});
  const auto objection = [&](ListenOptions options, bool with_handler = true) {
    ListenHandlers handlers;
    if (with_handler) handlers.on_update = [](const Update&) {};
    const auto listener = client.listen(std::move(options), std::move(handlers));
    return listener ? std::string() : listener.error().text;
  };
  CHECK(objection({}).find("at least one topic") != std::string::npos);
  CHECK(objection({.topics = {{"", std::nullopt}}}).find("source") != std::string::npos);
  CHECK(objection({.topics = {{"s", ""}}}).find("key") != std::string::npos);
  CHECK(objection({.topics = {{"s", "k"}}}, false).find("on_update") != std::string::npos);
  CHECK(objection({.topics = {{"s", "k"}}, .heartbeat = 99ms}).find("100 ms") != std::string::npos);
  CHECK(objection({.topics = {{"s", "k"}}, .heartbeat = 100ms}).empty());
  CHECK(objection({.topics = {{"s", "k"}}, .heartbeat = 1h}).empty());
  CHECK(objection({.topics = {{"s", "k"}}, .heartbeat = 1h + 1ms}).find("1 h") !=
        std::string::npos);
}

TEST_CASE("sessions and subscriptions by hand") {
  const auto cluster = std::make_shared<FakeCluster>();
  FakeIris node(cluster);
  Client client = make_client({node.address()});
  const auto session = client.connect();
  REQUIRE(session);
  CHECK_FALSE(session->empty());
  REQUIRE(client.subscribe(*session, {"s", std::nullopt}));
  REQUIRE(client.subscribe(*session, {"t", "k"}));
  CHECK(cluster->sessions[*session].size() == 2);
  REQUIRE(client.unsubscribe(*session, {"s", std::nullopt}));
  REQUIRE(client.unsubscribe(*session, {"t", "k"}));
  CHECK(cluster->sessions[*session].empty());
}
