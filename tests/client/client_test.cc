// iris::Client against fake nodes: which node, how often, and what a failure is called.
// Long file: one test an outcome, all against the same fakes.
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "src/client/client.h"
#include "src/client/verdict.h"
#include "tests/catch.h"
#include "tests/client/fake_iris.h"

using iris::Client;
using iris::client::Code;
using iris::test::FakeCluster;
using iris::test::FakeIris;
using namespace std::chrono_literals;

namespace {

Client make_client(std::vector<std::string> addresses, std::chrono::milliseconds timeout = 5s) {
  iris::client::Options options;
  options.addresses = std::move(addresses);
  options.tls = std::nullopt;
  options.timeout = timeout;
  auto client = Client::create(std::move(options));
  REQUIRE(client);
  return std::move(*client);
}

// An address where nobody listens: of a node that is gone.
std::string dead_address() {
  FakeIris node(std::make_shared<FakeCluster>());
  return node.address();
}

// Blocks until somebody dials the port, at most 10 s, and hangs up.
void await_dial(int port) {
  const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int on = 1;
  ::setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  if (::bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0 &&
      ::listen(listener, 1) == 0) {
    pollfd dialled{listener, POLLIN, 0};
    ::poll(&dialled, 1, 10'000);
  }
  ::close(listener);
}

template <class T>
std::optional<iris::client::Error> error_of(const iris::client::Result<T>& result) {
  if (result) return std::nullopt;
  return result.error();
}

FakeIris::Hook always(std::string method,
                      std::function<grpc::Status(grpc::ServerContext&)> answer) {
  return [method = std::move(method), answer = std::move(answer)](
             std::string_view called, grpc::ServerContext& context) -> std::optional<grpc::Status> {
    if (called != method) return std::nullopt;
    return answer(context);
  };
}

}  // namespace

TEST_CASE("values are stored, read, listed and removed") {
  FakeIris node(std::make_shared<FakeCluster>());
  Client client = make_client({node.address()});
  const auto written = client.set("colors", "sky", std::string("bl\0ue", 5));
  REQUIRE(written);
  const auto value = client.get("colors", "sky");
  REQUIRE(value);
  CHECK(value->found);
  CHECK(value->bytes == std::string("bl\0ue", 5));
  CHECK(value->revision == written->revision);
  CHECK_FALSE(client.get("colors", "grass")->found);
  REQUIRE(client.set("colors", "empty", ""));
  CHECK(client.get("colors", "empty")->found);

  CHECK(*client.sources() == std::vector<std::string>{"colors"});
  const auto keys = client.keys("colors", {.with_values = true});
  REQUIRE(keys);
  REQUIRE(keys->size() == 2);
  CHECK((*keys)[0].key == "empty");
  CHECK((*keys)[1].value.bytes == std::string("bl\0ue", 5));
  CHECK(client.keys("colors", {.prefix = "s"})->size() == 1);
  CHECK(client.keys("colors", {.limit = 1})->size() == 1);
  CHECK(client.keys("nothing")->empty());

  CHECK(client.remove("colors", "sky")->revision > written->revision);
  CHECK_FALSE(client.get("colors", "sky")->found);
  REQUIRE(client.remove_source("colors"));
  CHECK(client.sources()->empty());
}

TEST_CASE("if_revision that does not hold is a conflict") {
  FakeIris node(std::make_shared<FakeCluster>());
  Client client = make_client({node.address()});
  const auto first = client.set("s", "k", "1", {.if_revision = 0});
  REQUIRE(first);
  const auto second = client.set("s", "k", "2", {.if_revision = 0});
  REQUIRE_FALSE(second);
  CHECK(second.error().code == Code::conflict);
  CHECK(client.set("s", "k", "2", {.if_revision = first->revision}));
  CHECK(client.remove("s", "k", {.if_revision = first->revision}).error().code == Code::conflict);
}

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
  CHECK(judge(grpc::Status(StatusCode::INVALID_ARGUMENT, too_long), false).code == Code::limit);
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

TEST_CASE("a proxy for the web is not one for nodes") {
  FakeIris node(std::make_shared<FakeCluster>());
  for (const char* name : {"no_grpc_proxy", "no_proxy"}) ::unsetenv(name);
  ::setenv("http_proxy", ("http://" + dead_address()).c_str(), 1);
  Client client = make_client({node.address()}, 1s);
  const auto written = client.set("s", "k", "v");
  ::unsetenv("http_proxy");
  CHECK(written);
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

TEST_CASE("a name that is not UTF-8 is refused before anything is sent (hazard 81)") {
  FakeIris node(std::make_shared<FakeCluster>());
  Client client = make_client({node.address()});
  const std::string bad = "\xff";
  const std::pair<std::string, std::optional<iris::client::Error>> refused[] = {
      {"source", error_of(client.set(bad, "k", "v"))},
      {"key", error_of(client.set("s", bad, "v"))},
      {"source", error_of(client.get(bad, "k"))},
      {"key", error_of(client.get("s", bad))},
      {"source", error_of(client.remove(bad, "k"))},
      {"key", error_of(client.remove("s", bad))},
      {"source", error_of(client.remove_source(bad))},
      {"prefix", error_of(client.sources({.prefix = bad}))},
      {"start_after", error_of(client.sources({.start_after = bad}))},
      {"source", error_of(client.keys(bad))},
      {"prefix", error_of(client.keys("s", {.prefix = bad}))},
      {"start_after", error_of(client.keys("s", {.start_after = bad}))},
      {"session", error_of(client.subscribe(bad, {"s", {}}))},
      {"source", error_of(client.subscribe("S", {bad, {}}))},
      {"key", error_of(client.subscribe("S", {"s", bad}))},
      {"source", error_of(client.unsubscribe("S", {bad, {}}))},
      {"address", error_of(client.join(bad))},
      {"id", error_of(client.remove_member(bad))},
      {"id", error_of(client.promote_member(bad))},
      {"id", error_of(client.transfer_leader(bad))},
      {"source", error_of(client.listen({.topics = {{bad, {}}}}, {.on_update = [](auto&) {}}))},
      {"key", error_of(client.listen({.topics = {{"s", bad}}}, {.on_update = [](auto&) {}}))}};
  for (const auto& [field, error] : refused) {
    INFO(field);
    REQUIRE(error);
    CHECK(error->code == Code::invalid_argument);
    CHECK(error->text == field + " is not valid UTF-8");
  }
  CHECK(client.set("s", "k", bad));  // values are bytes
  CHECK(node.calls("SetValue") == 1);
}

TEST_CASE("no node at all: not done, with each address and why") {
  const std::string dead = dead_address();
  Client client = make_client({dead}, 300ms);
  const auto written = client.set("s", "k", "v");
  REQUIRE_FALSE(written);
  CHECK(written.error().code == Code::not_done);
  CHECK(written.error().text.find(dead) != std::string::npos);
  CHECK(written.error().text.find("Connection refused") != std::string::npos);
}

TEST_CASE("an error of the request is final and keeps the node's words") {
  const auto cluster = std::make_shared<FakeCluster>();
  FakeIris first(cluster);
  FakeIris second(cluster);
  Client client = make_client({first.address(), second.address()});
  const auto written = client.set("", "k", "v");
  REQUIRE_FALSE(written);
  CHECK(written.error().code == Code::invalid_argument);
  CHECK(written.error().text.find("You must provide a source") != std::string::npos);
  CHECK(first.calls("SetValue") + second.calls("SetValue") == 1);
}

TEST_CASE("a value larger than gRPC's default answer is no error") {
  FakeIris node(std::make_shared<FakeCluster>());
  Client client = make_client({node.address()});
  node.after = nullptr;
  const std::string large(4'000'000, 'x');
  REQUIRE(client.set("s", "a", large));
  REQUIRE(client.set("s", "b", large));
  CHECK(client.get("s", "a")->bytes == large);
}

TEST_CASE("a request that gRPC itself refuses for its length names the flag") {
  FakeIris node(std::make_shared<FakeCluster>());
  Client client = make_client({node.address()});
  const auto written = client.set("s", "k", std::string(5'000'000, 'x'));
  REQUIRE_FALSE(written);
  CHECK(written.error().code == Code::limit);
  CHECK(written.error().text.find("-max-value-bytes") != std::string::npos);
  CHECK(written.error().text.find("Received message larger than max") != std::string::npos);
}

TEST_CASE("status, health and members come from the node that is asked") {
  const auto cluster = std::make_shared<FakeCluster>();
  const auto other = std::make_shared<FakeCluster>();
  cluster->status.set_id("a");
  other->status.set_id("b");
  other->status.set_tolerates_failures(1);
  auto* member = other->members.add_members();
  member->set_id("00000000000000b2");
  member->set_voter(true);
  FakeIris first(cluster);
  FakeIris second(other);
  Client client = make_client({first.address(), second.address()});
  CHECK(client.status()->id == "a");
  CHECK(client.status(second.address())->id == "b");
  CHECK(client.status(second.address())->tolerates_failures == 1);
  CHECK(client.status("10.1.1.1:1").error().code == Code::invalid_argument);
  CHECK(*client.healthy(first.address()));
  Client of_second = make_client({second.address()});
  REQUIRE(of_second.members());
  CHECK(of_second.members()->at(0).voter);
}

TEST_CASE("admin calls name what was refused") {
  const auto cluster = std::make_shared<FakeCluster>();
  auto* leader = cluster->members.add_members();
  leader->set_id("00000000000000a1");
  leader->set_leader(true);
  FakeIris node(cluster);
  Client client = make_client({node.address()});
  CHECK(client.remove_member("nobody").error().code == Code::not_found);
  CHECK(client.remove_member("00000000000000a1").error().code == Code::not_now);
  CHECK(*client.remove_member("00000000000000a1", true) == "00000000000000a1");
  CHECK(*client.promote_member("x") == "x");
  CHECK(*client.transfer_leader() == "00000000000000b2");
  CHECK(client.join("127.0.0.1:32001"));
}

TEST_CASE("many threads share a client") {
  FakeIris node(std::make_shared<FakeCluster>());
  Client client = make_client({node.address()});
  std::atomic<int> good = 0;
  constexpr int callers = 8;
  std::vector<std::thread> threads;
  threads.reserve(callers);
  for (int t = 0; t < callers; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 25; ++i) {
        good += client.set("s" + std::to_string(t), std::to_string(i), "v") ? 1 : 0;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  CHECK(good == 200);
}

TEST_CASE("bad addresses, timeouts and too many addresses are named") {
  const auto error = [](std::vector<std::string> addresses) {
    iris::client::Options options;
    options.addresses = std::move(addresses);
    options.tls = std::nullopt;
    const auto client = Client::create(std::move(options));
    return client ? std::string() : client.error().text;
  };
  CHECK(error({"localhost"}).empty());
  CHECK(error({":32000"}).empty());
  CHECK(error({"[::1]:32000"}).empty());
  CHECK(error({"[::1]"}).empty());
  CHECK(error({}).find("1 to 64 addresses") != std::string::npos);
  CHECK(error(std::vector<std::string>(64, "localhost")).empty());
  CHECK(error(std::vector<std::string>(65, "localhost")).find("not 65") != std::string::npos);
  CHECK(error({""}).find("empty") != std::string::npos);
  CHECK(error({"host:65536"}).find("1 to 65535") != std::string::npos);
  CHECK(error({"host:65535"}).empty());
  CHECK(error({"host:0"}).find("1 to 65535") != std::string::npos);
  CHECK(error({"host:1"}).empty());
  CHECK(error({"host:x"}).find("address host:x: its port") != std::string::npos);
  CHECK(error({"::1"}).find("brackets") != std::string::npos);
  CHECK(error({"http://host:1"}).find("http://host:1") != std::string::npos);
}
