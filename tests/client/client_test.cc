// iris::Client against fake nodes: its calls, and the errors of requests and options.
#include <atomic>
#include <chrono>
#include <thread>

#include "src/client/client.h"
#include "tests/client/client_fixture.h"

using iris::Client;
using iris::client::Code;
using iris::test::dead_address;
using iris::test::error_of;
using iris::test::FakeCluster;
using iris::test::FakeIris;
using iris::test::make_client;
using namespace std::chrono_literals;

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

TEST_CASE("a proxy for the web is not one for nodes") {
  FakeIris node(std::make_shared<FakeCluster>());
  for (const char* name : {"no_grpc_proxy", "no_proxy"}) ::unsetenv(name);
  ::setenv("http_proxy", ("http://" + dead_address()).c_str(), 1);
  Client client = make_client({node.address()}, 1s);
  const auto written = client.set("s", "k", "v");
  ::unsetenv("http_proxy");
  CHECK(written);
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
