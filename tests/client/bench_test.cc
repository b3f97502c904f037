// iris-bench: its histogram against exact ranks, its flags, and the built program against a fake
// node and against its own echo.
#include <algorithm>
#include <atomic>
#include <cmath>
#include <csignal>
#include <cstdlib>
#include <memory>
#include <nlohmann/json.hpp>
#include <random>
#include <thread>

#include "src/bench/histogram.h"
#include "src/bench/options.h"
#include "tests/catch.h"
#include "tests/client/fake_iris.h"
#include "tests/client/program.h"

using iris::bench::Histogram;
using iris::bench::Mode;
using iris::bench::Options;
using iris::bench::parse_options;
using iris::test::Ended;
using iris::test::FakeCluster;
using iris::test::FakeIris;
using iris::test::Program;
using iris::test::run;
using nlohmann::json;

namespace {

using Words = std::vector<std::string>;

Ended bench(Words words) {
  words.insert(words.begin(), IRIS_BENCH);
  return run(std::move(words));
}

std::string dead_address() { return FakeIris(std::make_shared<FakeCluster>()).address(); }

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

// The sentence with which the words are refused; empty: they are not.
std::string objection(const Words& words) {
  const auto parsed = parse_options(words);
  return parsed ? "" : parsed.error().text;
}

}  // namespace

TEST_CASE("a histogram's quantiles are those of the sorted values, at most 0.8 % too high") {
  std::mt19937_64 random(7);
  for (const double sigma : {0.1, 1.0, 3.0}) {
    const auto histogram = std::make_unique<Histogram>();
    std::lognormal_distribution<double> times(12, sigma);
    std::vector<std::uint64_t> values;
    for (int i = 0; i < 20'000; ++i) {
      values.push_back(std::min(static_cast<std::uint64_t>(times(random)), Histogram::value_max));
      histogram->add(values.back());
    }
    std::sort(values.begin(), values.end());
    for (const double share : {0.0, 0.01, 0.5, 0.9, 0.99, 0.999, 1.0}) {
      const auto rank = static_cast<std::size_t>(
          std::max(1.0, std::ceil(share * static_cast<double>(values.size()))));
      const std::uint64_t exact = values[rank - 1];
      const std::uint64_t got = histogram->quantile(share);
      CHECK(got >= exact);
      CHECK(static_cast<double>(got) <= static_cast<double>(exact) * 1.008 + 1);
    }
    CHECK(histogram->max() == values.back());
    CHECK(histogram->quantile(1.0) == values.back());
  }
}

TEST_CASE("a histogram keeps every small value exactly, and the greatest apart") {
  for (std::uint64_t value = 0; value < 256; ++value) {
    const auto histogram = std::make_unique<Histogram>();
    histogram->add(value);
    histogram->add(1'000'000);
    CHECK(histogram->quantile(0.5) == value);
  }
  // Each end of each doubling lies in a step of its own width.
  for (unsigned bits = 8; bits < Histogram::value_bits; ++bits) {
    for (const std::uint64_t value : {(1ull << bits) - 1, 1ull << bits, (1ull << bits) + 1}) {
      const auto histogram = std::make_unique<Histogram>();
      histogram->add(value);
      histogram->add(Histogram::value_max);
      const auto got = histogram->quantile(0.5);
      CHECK(got >= value);
      CHECK(got - value <= value / 128);
    }
  }
  const auto histogram = std::make_unique<Histogram>();
  CHECK(histogram->quantile(0.99) == 0);
  histogram->add(~0ull);
  CHECK(histogram->quantile(0.5) == Histogram::value_max);
  const auto other = std::make_unique<Histogram>();
  other->add(1);
  other->merge(*histogram);
  CHECK(other->count() == 2);
  CHECK(other->quantile(0.5) == 1);
  CHECK(other->max() == Histogram::value_max);
}

TEST_CASE("the flags of iris-bench mean what they say") {
  const auto parsed =
      parse_options(Words{"mix", "-addr", "a:1,b:2", "-conns=4", "--inflight", "2", "-rate", "500",
                          "-value", "1KiB", "-reads", "30", "-insecure", "-duration", "1m"});
  REQUIRE(parsed);
  const Options& options = parsed->options;
  CHECK(options.mode == Mode::mix);
  CHECK(options.addresses == Words{"a:1", "b:2"});
  CHECK(options.connections == 4);
  CHECK(options.in_flight == 2);
  CHECK(options.rate == 500);
  CHECK(options.value_bytes == 1024);
  CHECK(options.read_percent == 30);
  CHECK_FALSE(options.tls.has_value());
  CHECK(options.duration == std::chrono::minutes(1));
  CHECK(parse_options(Words{"--echo"})->options.mode == Mode::echo);
  CHECK(parse_options(Words{"echo", "-port", "1"})->options.port == 1);
  CHECK(parse_options(Words{})->options.mode == Mode::set);
  CHECK(parse_options(Words{"watch"})->options.rate == 1000);
  CHECK(contains(parse_options(Words{"-h"})->help, "-inflight"));
}

TEST_CASE("the connection flags of iris-bench are the environment variables of iris-cli") {
  ::setenv("IRIS_ADDR", "a:1,b:2", 1);
  ::setenv("IRIS_INSECURE", "true", 1);
  ::setenv("IRIS_TIMEOUT", "7s", 1);
  const Options there = parse_options(Words{})->options;
  CHECK(there.addresses == Words{"a:1", "b:2"});
  CHECK_FALSE(there.tls.has_value());
  CHECK(there.timeout == std::chrono::seconds(7));
  CHECK(parse_options(Words{"-insecure=false", "-addr", "c:3"})->options.tls.has_value());
  ::setenv("IRIS_ADDR", "a,,b", 1);
  CHECK(contains(objection(Words{}), "IRIS_ADDR"));
  for (const char* name : {"IRIS_ADDR", "IRIS_INSECURE", "IRIS_TIMEOUT"}) ::unsetenv(name);
}

TEST_CASE("iris-bench in a command of watch does not take the changed key for its key file") {
  const auto key_file = [] { return parse_options(Words{"-addr", ""})->options.tls->key; };
  ::setenv("IRIS_KEY", "mine.key", 1);
  CHECK(key_file() == "mine.key");
  ::setenv("IRIS_WATCH_OP", "PUT", 1);
  CHECK(key_file() == "client.key");
  ::setenv("IRIS_CLIENT_KEY", "other.key", 1);
  CHECK(key_file() == "other.key");
  for (const char* name : {"IRIS_KEY", "IRIS_WATCH_OP", "IRIS_CLIENT_KEY"}) ::unsetenv(name);
}

TEST_CASE("a proxy for the web is not one for nodes") {
  FakeIris node(std::make_shared<FakeCluster>());
  const Ended ended = run({IRIS_BENCH, "set", "-insecure", "-addr", node.address(), "-conns", "1",
                           "-ops", "10", "-warmup", "0s"},
                          {.environment = {{"http_proxy", "http://" + dead_address()}}});
  INFO(ended.err);
  CHECK(ended.code == 0);
}

TEST_CASE("bad flags of iris-bench get one sentence that names them") {
  const std::pair<Words, std::string> bad[] = {
      {{"gett"}, "unknown mode \"gett\""},
      {{"set", "get"}, "\"get\""},
      {{"-conn", "3"}, "did you mean -conns?"},
      {{"-conns", "0"}, "-conns"},
      {{"-conns", "10001"}, "-conns"},
      {{"-inflight", "10001"}, "-inflight"},
      {{"-threads", "65"}, "-threads"},
      {{"-conns", "1", "-threads", "2"}, "-threads 2 needs as many -conns, not 1"},
      {{"-conns", "1001", "-inflight", "1000"}, "1001000, more than 1000000"},
      {{"-conns", "1000", "-inflight", "1000", "-value", "5KiB"}, "4GiB"},
      {{"-rate", "10000001"}, "-rate"},
      {{"-keys", "0"}, "-keys"},
      {{"-value", "65MiB"}, "64MiB"},
      {{"-reads", "50"}, "-reads is for mix"},
      {{"mix", "-reads", "101"}, "-reads"},
      {{"-ops", "5", "-duration", "1s"}, "exclude each other"},
      {{"-duration", "99ms"}, "100ms"},
      {{"-source", ""}, "-source"},
      {{"-addr", "a,,b"}, "empty pieces"},
      {{"-port", "65536"}, "-port"},
      {{"watch", "-sources", "11", "-listeners", "10"}, "-sources 11 needs as many -listeners"},
      {{"watch", "-ops", "5"}, "watch takes no -ops"},
      {{"set", "-echo"}, "-echo"}};
  for (const auto& [words, part] : bad) {
    INFO(part);
    CHECK(contains(objection(words), part));
  }
  // And at the limits themselves.
  CHECK(objection({"-conns", "10000", "-inflight", "100", "-threads", "64"}).empty());
  CHECK(objection({"-rate", "10000000", "-value", "64MiB", "-conns", "1", "-inflight", "64"})
            .empty());
  const Ended ended = bench({"-conns", "0"});
  CHECK(ended.code == 2);
  CHECK(ended.out.empty());
  CHECK(contains(ended.err, "-conns"));
}

TEST_CASE("a closed loop does exactly the operations it was told") {
  const auto cluster = std::make_shared<FakeCluster>();
  FakeIris node(cluster);
  const Ended ended =
      bench({"set", "-insecure", "-addr", node.address(), "-conns", "2", "-inflight", "3", "-ops",
             "500", "-warmup", "0s", "-keys", "10", "-value", "100"});
  INFO(ended.err);
  REQUIRE(ended.code == 0);
  CHECK(ended.err.empty());  // no terminal: no progress
  const auto report = json::parse(ended.out);
  CHECK(std::count(ended.out.begin(), ended.out.end(), '\n') == 1);
  CHECK(report["mode"] == "set");
  CHECK(report["loop"] == "closed");
  CHECK(report["ops"] == 500);
  CHECK(report["errors"].empty());
  CHECK(report["latency_us"]["count"] == 500);
  for (const char* name : {"p50", "p90", "p99", "p99_9", "max"}) {
    CHECK(report["latency_us"][name] > 0);
    CHECK(report["latency_us"][name] <= report["latency_us"]["max"]);
  }
  CHECK(report["ops_per_s"] > 0);
  CHECK(node.calls("SetValue") == 500);
  CHECK(cluster->sources["bench"].size() <= 10);
  CHECK(cluster->sources["bench"].begin()->second.value.size() == 100);
}

TEST_CASE("get and mix store every key first, and read what is there") {
  const auto cluster = std::make_shared<FakeCluster>();
  FakeIris node(cluster);
  const Ended ended = bench({"mix", "-insecure", "-addr", node.address(), "-conns", "1", "-ops",
                             "400", "-warmup", "0s", "-keys", "50", "-reads", "75"});
  REQUIRE(ended.code == 0);
  const auto report = json::parse(ended.out);
  CHECK(cluster->sources["bench"].size() == 50);
  const int gets = node.calls("GetValue");
  CHECK(gets + node.calls("SetValue") == 50 + 400);
  CHECK(gets > 200);
  CHECK(gets < 380);
  CHECK(report["get_latency_us"]["count"] == gets);
  CHECK(report["set_latency_us"]["count"] == 400 - gets);
}

TEST_CASE("errors are counted by code, and nothing but errors is no success") {
  FakeIris node(std::make_shared<FakeCluster>());
  std::atomic<int> calls = 0;
  node.before = [&](std::string_view, grpc::ServerContext&) -> std::optional<grpc::Status> {
    if (calls++ % 2 == 0) return grpc::Status(grpc::StatusCode::RESOURCE_EXHAUSTED, "full");
    return std::nullopt;
  };
  const Words words = {"set",       "-insecure", "-addr", node.address(), "-conns",  "1",
                       "-inflight", "1",         "-ops",  "20",           "-warmup", "0s"};
  const Ended half = bench(words);
  CHECK(half.code == 0);
  CHECK(json::parse(half.out)["errors"] == json{{"RESOURCE_EXHAUSTED", 10}});
  CHECK(json::parse(half.out)["ops"] == 10);
  node.before = [](std::string_view, grpc::ServerContext&) {
    return grpc::Status(grpc::StatusCode::UNAVAILABLE, "no leader");
  };
  const Ended none = bench(words);
  CHECK(none.code == 1);
  CHECK(json::parse(none.out)["errors"] == json{{"UNAVAILABLE", 20}});
}

TEST_CASE("an open loop counts from when a call was due, not from when it was sent") {
  FakeIris node(std::make_shared<FakeCluster>());
  std::atomic<int> calls = 0;
  // One stall of 300 ms: whoever waits for the only place pays for it.
  node.before = [&](std::string_view, grpc::ServerContext&) -> std::optional<grpc::Status> {
    if (calls++ == 20) std::this_thread::sleep_for(std::chrono::milliseconds(300));
    return std::nullopt;
  };
  const Ended ended = bench({"set", "-insecure", "-addr", node.address(), "-conns", "1",
                             "-inflight", "1", "-rate", "100", "-warmup", "0s", "-duration", "3s"});
  REQUIRE(ended.code == 0);
  const auto report = json::parse(ended.out);
  CHECK(report["loop"] == "open");
  CHECK(report["ops"] == 300);
  // 30 calls were due in the stall; half of them waited for more than 140 ms.
  CHECK(report["latency_us"]["p99"] > 100'000);
  CHECK(report["sent_late_us"]["max"] > 200'000);
  CHECK(report["unsent"] == 0);
}

TEST_CASE("what was due and never sent is told") {
  FakeIris node(std::make_shared<FakeCluster>());
  node.before = [](std::string_view, grpc::ServerContext&) -> std::optional<grpc::Status> {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    return std::nullopt;
  };
  const Ended ended =
      bench({"set", "-insecure", "-addr", node.address(), "-conns", "1", "-inflight", "1", "-rate",
             "1000", "-warmup", "0s", "-duration", "500ms"});
  CHECK(ended.code == 0);
  CHECK(json::parse(ended.out)["unsent"] > 400);
  CHECK(contains(ended.err, "did not keep up"));
}

TEST_CASE("watch accounts for every update that listeners get") {
  const auto cluster = std::make_shared<FakeCluster>();
  FakeIris first(cluster), second(cluster);
  const Words words = {
      "watch",    "-insecure", "-addr",      first.address() + "," + second.address(),
      "-conns",   "2",         "-listeners", "6",
      "-sources", "3",         "-rate",      "100",
      "-warmup",  "100ms",     "-duration",  "1s"};
  const Ended good = bench(words);
  INFO(good.err);
  REQUIRE(good.code == 0);
  auto report = json::parse(good.out);
  CHECK(report["written"] == 110);
  CHECK(report["delivered"] == 2 * 110);  // two listeners a source
  CHECK(report["lost"] == 0);
  CHECK(report["duplicated"] == 0);
  CHECK(report["reordered"] == 0);
  CHECK(report["delivery_us"]["max"] > 0);

  // Amid the run the nodes forget who is subscribed.
  std::atomic<int> writes = 0;
  first.before = [&](std::string_view method, grpc::ServerContext&) -> std::optional<grpc::Status> {
    if (method != "SetValue" || ++writes != 20) return std::nullopt;
    const std::lock_guard lock(cluster->mutex);
    for (auto& [session, topics] : cluster->sessions) topics.clear();
    return std::nullopt;
  };
  const Ended bad = bench(words);
  INFO(bad.err);
  CHECK(bad.code == 1);
  report = json::parse(bad.out);
  CHECK(report["lost"].get<int>() >= 1);
  CHECK(contains(bad.err, "lost"));
}

TEST_CASE("iris-bench names the address it cannot reach") {
  const std::string dead = dead_address();
  const Ended ended = bench({"set", "-insecure", "-addr", dead, "-conns", "1"});
  CHECK(ended.code == 3);
  CHECK(contains(ended.err, dead));
  CHECK(contains(ended.err, "Connection refused"));
}

TEST_CASE("an interrupted measurement still reports") {
  FakeIris node(std::make_shared<FakeCluster>());
  Program load({IRIS_BENCH, "set", "-insecure", "-addr", node.address(), "-conns", "1", "-inflight",
                "1", "-duration", "1h", "-warmup", "0s"});
  REQUIRE(node.await_calls("SetValue", 100));
  load.signal(SIGINT);
  const Ended ended = load.wait();
  CHECK(ended.code == 130);
  CHECK(json::parse(ended.out)["ops"] >= 99);
}

TEST_CASE("the echo answers with what it is sent") {
  FakeIris free_port(std::make_shared<FakeCluster>());
  const std::string port = std::to_string(free_port.port());
  free_port.kill();
  Program echo({IRIS_BENCH, "--echo", "-insecure", "-port", port, "-value", "77"});
  REQUIRE(echo.await_err("echo on port"));
  const std::string address = "127.0.0.1:" + port;
  const auto stub =
      iris::pb::Iris::NewStub(grpc::CreateChannel(address, grpc::InsecureChannelCredentials()));
  {
    grpc::ClientContext context;
    iris::pb::SetValueRequest request;
    request.set_value("back");
    iris::pb::SetValueResponse response;
    REQUIRE(stub->SetValue(&context, request, &response).ok());
    CHECK(response.value() == "back");
  }
  {
    grpc::ClientContext context;
    iris::pb::GetValueResponse response;
    REQUIRE(stub->GetValue(&context, {}, &response).ok());
    CHECK(response.value().size() == 77);
  }
  const Ended load =
      bench({"mix", "-insecure", "-addr", address, "-ops", "2000", "-warmup", "0s", "-fill=false"});
  CHECK(load.code == 0);
  CHECK(json::parse(load.out)["ops"] == 2000);
  echo.signal(SIGTERM);
  CHECK(echo.wait().code == 0);
}
