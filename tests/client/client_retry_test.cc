// iris::Client against fake nodes that fail: which node is asked, how often again, and whether the
// outcome is called done, not done or unknown.
#include <atomic>
#include <chrono>
#include <thread>

#include "src/client/client.h"
#include "src/client/verdict.h"
#include "tests/client/client_fixture.h"

using iris::Client;
using iris::client::Code;
using iris::test::always;
using iris::test::await_dial;
using iris::test::dead_address;
using iris::test::FakeCluster;
using iris::test::FakeIris;
using iris::test::make_client;
using namespace std::chrono_literals;

TEST_CASE("what each status of gRPC means") {
  using grpc::StatusCode;
  using iris::client::judge;
  using iris::client::Verdict;
  const auto kind = [](StatusCode code, bool trailer) {
    return judge(grpc::Status(code, "text"), trailer).kind;
  };
  CHECK(judge(grpc::Status::OK, false).kind == Verdict::Kind::done);
  CHECK(kind(StatusCode::UNAVAILABLE, true) == Verdict::Kind::not_done);
  for (const auto code :
       {StatusCode::UNAVAILABLE, StatusCode::DEADLINE_EXCEEDED, StatusCode::CANCELLED,
        StatusCode::INTERNAL, StatusCode::UNKNOWN, StatusCode::DATA_LOSS}) {
    CHECK(kind(code, false) == Verdict::Kind::unknown);
  }
  const std::pair<StatusCode, Code> finals[] = {
      {StatusCode::INVALID_ARGUMENT, Code::invalid_argument},
      {StatusCode::NOT_FOUND, Code::not_found},
      {StatusCode::ABORTED, Code::conflict},
      {StatusCode::RESOURCE_EXHAUSTED, Code::limit},
      {StatusCode::FAILED_PRECONDITION, Code::not_now},
      {StatusCode::PERMISSION_DENIED, Code::refused},
      {StatusCode::UNAUTHENTICATED, Code::refused},
      {StatusCode::UNIMPLEMENTED, Code::unsupported}};
  for (const auto& [status, code] : finals) {
    CHECK(kind(status, false) == Verdict::Kind::final);
    CHECK(judge(grpc::Status(status, ""), false).code == code);
  }
  const std::string too_long =
      "value is 9 bytes long; the limit is 8 (server flag -max-value-bytes)";
  CHECK(judge(grpc::Status(StatusCode::INVALID_ARGUMENT, too_long), false).code == Code::too_long);
}

TEST_CASE("a write that was not done is tried again until it is (hazard 80)") {
  FakeIris node(std::make_shared<FakeCluster>());
  std::atomic<int> refusals = 3;
  node.before = [&](std::string_view method, grpc::ServerContext& context) {
    return method == "SetValue" && refusals-- > 0
               ? std::optional(FakeIris::not_done(context, "no leader is known"))
               : std::nullopt;
  };
  Client client = make_client({node.address()});
  CHECK(client.set("s", "k", "v"));
  CHECK(node.calls("SetValue") == 4);
}

TEST_CASE("a write that was not done goes to the next node") {
  const auto cluster = std::make_shared<FakeCluster>();
  FakeIris first(cluster);
  FakeIris second(cluster);
  first.before = always(
      "SetValue", [](auto& context) { return FakeIris::not_done(context, "no leader is known"); });
  Client client = make_client({first.address(), second.address()});
  CHECK(client.set("s", "k", "v"));
  const int refusals = first.calls("SetValue");
  CHECK(refusals >= 1);
  CHECK(second.calls("SetValue") == 1);
  // And stays there.
  CHECK(client.set("s", "k", "w"));
  CHECK(first.calls("SetValue") == refusals);
  CHECK(second.calls("SetValue") == 2);
}

TEST_CASE("a write that no node takes within the time limit is not done") {
  FakeIris node(std::make_shared<FakeCluster>());
  node.before = always(
      "SetValue", [](auto& context) { return FakeIris::not_done(context, "no leader is known"); });
  Client client = make_client({node.address()}, 400ms);
  const auto start = std::chrono::steady_clock::now();
  const auto written = client.set("s", "k", "v");
  const auto took = std::chrono::steady_clock::now() - start;
  REQUIRE_FALSE(written);
  CHECK(written.error().code == Code::not_done);
  CHECK(written.error().text.find("no leader is known") != std::string::npos);
  CHECK(written.error().text.find(node.address()) != std::string::npos);
  CHECK(took < 2s);
  CHECK(node.calls("SetValue") > 1);
}

TEST_CASE("a write whose connection broke is unknown and never repeated (hazards 42, 78)") {
  const auto cluster = std::make_shared<FakeCluster>();
  FakeIris first(cluster);
  FakeIris second(cluster);
  // It is done, and then the answer is lost.
  first.after = always("SetValue", [](auto&) {
    return grpc::Status(grpc::StatusCode::UNAVAILABLE, "Socket closed");
  });
  Client client = make_client({first.address(), second.address()});
  const auto written = client.set("s", "k", "v");
  REQUIRE_FALSE(written);
  CHECK(written.error().code == Code::unknown);
  CHECK(first.calls("SetValue") == 1);
  CHECK(second.calls("SetValue") == 0);
  CHECK(client.get("s", "k")->bytes == "v");
}

TEST_CASE("a write on a node that dies under it is unknown") {
  const auto cluster = std::make_shared<FakeCluster>();
  FakeIris node(cluster);
  std::atomic<bool> dying = false;
  node.before = always("SetValue", [&](grpc::ServerContext& context) {
    dying = true;
    while (!context.IsCancelled()) std::this_thread::yield();
    return grpc::Status(grpc::StatusCode::UNAVAILABLE, "late");
  });
  Client client = make_client({node.address()});
  std::thread killer([&] {
    while (!dying) std::this_thread::yield();
    node.kill();
  });
  const auto written = client.set("s", "k", "v");
  killer.join();
  REQUIRE_FALSE(written);
  CHECK(written.error().code == Code::unknown);
}

TEST_CASE("a node's own reason for DEADLINE_EXCEEDED is kept: the time need not be over") {
  FakeIris node(std::make_shared<FakeCluster>());
  node.before = always("SetValue", [](auto&) {
    return grpc::Status(grpc::StatusCode::DEADLINE_EXCEEDED, "the leader changed meanwhile");
  });
  Client client = make_client({node.address()});
  const auto written = client.set("s", "k", "v");
  REQUIRE_FALSE(written);
  CHECK(written.error().code == Code::unknown);
  CHECK(written.error().text.find("the leader changed meanwhile") != std::string::npos);
  CHECK(written.error().text.find("no answer in time") == std::string::npos);
}

TEST_CASE("a write that is not answered in time is unknown") {
  FakeIris node(std::make_shared<FakeCluster>());
  node.before = always("SetValue", [](grpc::ServerContext& context) {
    while (!context.IsCancelled()) std::this_thread::yield();
    return grpc::Status::OK;
  });
  Client client = make_client({node.address()});
  const auto written = client.set("s", "k", "v", {.timeout = 200ms});
  REQUIRE_FALSE(written);
  CHECK(written.error().code == Code::unknown);
  CHECK(node.calls("SetValue") == 1);
}

TEST_CASE("what is said of a subscription is never repeated where its outcome is unknown") {
  const auto cluster = std::make_shared<FakeCluster>();
  FakeIris first(cluster);
  FakeIris second(cluster);
  Client client = make_client({first.address(), second.address()});
  const std::vector<std::pair<std::string, iris::client::Topic>> calls = {
      {"Subscribe", {"s", std::nullopt}},
      {"SubscribeKey", {"s", "k"}},
      {"Unsubscribe", {"s", std::nullopt}},
      {"UnsubscribeKey", {"s", "k"}}};
  for (const auto& [method, topic] : calls) {
    INFO(method);
    const auto call = [&, &name = method, &of = topic] {
      return name.starts_with("Sub") ? client.subscribe("S", of) : client.unsubscribe("S", of);
    };
    // It may be done, or be done yet: after what the caller says next, which it would undo.
    first.after = second.after = always(
        method, [](auto&) { return grpc::Status(grpc::StatusCode::UNAVAILABLE, "Socket closed"); });
    const auto lost = call();
    REQUIRE_FALSE(lost);
    CHECK(lost.error().code == Code::unknown);
    CHECK(first.calls(method) + second.calls(method) == 1);
    // What was not done is tried again.
    first.after = second.after = nullptr;
    first.before =
        second.before = [&name = method, refusals = 1](
                            std::string_view called,
                            grpc::ServerContext& context) mutable -> std::optional<grpc::Status> {
      if (called != name || refusals-- <= 0) return std::nullopt;
      return FakeIris::not_done(context, "no leader is known");
    };
    CHECK(call());
    first.before = second.before = nullptr;
  }
}

TEST_CASE("a read is repeated on another node whatever happened to it") {
  const auto cluster = std::make_shared<FakeCluster>();
  FakeIris first(cluster);
  FakeIris second(cluster);
  cluster->set("s", "k", "v");
  SECTION("its connection broke") {
    first.before = always("GetValue", [](auto&) {
      return grpc::Status(grpc::StatusCode::UNAVAILABLE, "Socket closed");
    });
  }
  SECTION("it was not answered") {
    first.before = always("GetValue", [](grpc::ServerContext& context) {
      while (!context.IsCancelled()) std::this_thread::yield();
      return grpc::Status::OK;
    });
  }
  Client client = make_client({first.address(), second.address()}, 2s);
  const auto value = client.get("s", "k");
  REQUIRE(value);
  CHECK(value->bytes == "v");
  CHECK(first.calls("GetValue") >= 1);
  CHECK(second.calls("GetValue") == 1);
}

TEST_CASE("a list that has begun may take all the time there is, one that has not goes elsewhere") {
  const auto cluster = std::make_shared<FakeCluster>();
  FakeIris first(cluster);
  FakeIris second(cluster);
  cluster->set("s", "k", "v");
  int other_calls = 0;
  SECTION("its rows came, its end comes after more than half of the time") {
    first.after = always("GetKeys", [](grpc::ServerContext& context) {
      const auto end = std::chrono::steady_clock::now() + 1700ms;
      while (!context.IsCancelled() && std::chrono::steady_clock::now() < end) {
        std::this_thread::yield();
      }
      return grpc::Status::OK;
    });
  }
  SECTION("nothing came") {
    other_calls = 1;
    first.before = always("GetKeys", [](grpc::ServerContext& context) {
      while (!context.IsCancelled()) std::this_thread::yield();
      return grpc::Status::OK;
    });
  }
  Client client = make_client({first.address(), second.address()}, 3s);
  const auto keys = client.keys("s");
  REQUIRE(keys);
  CHECK(keys->size() == 1);
  CHECK(first.calls("GetKeys") == 1);
  CHECK(second.calls("GetKeys") == other_calls);
}

TEST_CASE("a list that broke half way begins anew") {
  const auto cluster = std::make_shared<FakeCluster>();
  FakeIris node(cluster);
  cluster->set("s", "a", "1");
  cluster->set("s", "b", "2");
  std::atomic<int> breaks = 1;
  node.after = [&](std::string_view method, grpc::ServerContext&) {
    return method == "GetKeys" && breaks-- > 0
               ? std::optional(grpc::Status(grpc::StatusCode::UNAVAILABLE, "Socket closed"))
               : std::nullopt;
  };
  Client client = make_client({node.address()});
  const auto keys = client.keys("s");
  REQUIRE(keys);
  CHECK(keys->size() == 2);
  CHECK(node.calls("GetKeys") == 2);
}

TEST_CASE("the first address that can be reached is taken") {
  const auto cluster = std::make_shared<FakeCluster>();
  const std::string dead = dead_address();
  FakeIris node(cluster);
  Client client = make_client({dead, node.address()});
  CHECK(client.set("s", "k", "v"));
}

TEST_CASE("a client survives the death of its node while it was idle") {
  const auto cluster = std::make_shared<FakeCluster>();
  auto first = std::make_unique<FakeIris>(cluster);
  FakeIris second(cluster);
  Client client = make_client({first->address(), second.address()});
  REQUIRE(client.set("s", "k", "v"));
  REQUIRE(first->calls("SetValue") == 1);
  first->kill();
  std::this_thread::sleep_for(600ms);  // idle time itself: after 500 ms of it a client looks first
  CHECK(client.set("s", "k", "w"));
  CHECK(second.calls("SetValue") == 1);
}

TEST_CASE("a client finds its node again when that comes back") {
  const auto cluster = std::make_shared<FakeCluster>();
  auto node = std::make_unique<FakeIris>(cluster);
  const int port = node->port();
  Client client = make_client({node->address()}, 10s);
  REQUIRE(client.set("s", "k", "v"));
  node.reset();
  CHECK(client.get("s", "k", {.timeout = 200ms}).error().code == Code::not_done);
  std::thread starter([&] {
    await_dial(port);  // by the call below, which is waiting
    node = std::make_unique<FakeIris>(cluster, port);
  });
  const auto value = client.get("s", "k");
  starter.join();
  REQUIRE(value);
  CHECK(value->bytes == "v");
}
