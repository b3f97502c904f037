// The client of Stela against a fake one in this process: what counts as "nobody", what as "not
// reached", and that it is registered again whenever Stela forgot.
#include "src/discovery/stela.h"

#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <deque>
#include <mutex>
#include <optional>
#include <thread>

#include "tests/catch.h"
#include "tests/client/fake_stela.h"

using iris::Errc;
using iris::Stela;
using iris::StelaService;
using iris::test::FakeStela;
using namespace std::chrono_literals;

namespace {

// The loop of the test: runs what was posted, on the thread of the test.
class Loop {
 public:
  Stela::Post post() {
    return [this](std::function<void()> work) {
      const std::lock_guard lock(mutex_);
      work_.push_back(std::move(work));
      changed_.notify_all();
    };
  }
  [[nodiscard]] bool run_until(const std::function<bool()>& done,
                               std::chrono::milliseconds patience = 10s) {
    const auto deadline = std::chrono::steady_clock::now() + patience;
    while (!done()) {
      std::function<void()> work;
      {
        std::unique_lock lock(mutex_);
        if (!changed_.wait_until(lock, deadline, [&] { return !work_.empty(); })) return false;
        work = std::move(work_.front());
        work_.pop_front();
      }
      work();
    }
    return true;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> work_;
};

stela::pb::ServiceMessage instance(const std::string& ipv4, int port) {
  stela::pb::ServiceMessage message;
  message.set_name(Stela::service_name);
  message.set_ipv4(ipv4);
  message.set_port(port);
  return message;
}

const StelaService own{Stela::service_name, "host", "192.0.2.7", "", 32000};

}  // namespace

TEST_CASE("discovery finds who is registered") {
  FakeStela fake;
  fake.found = {instance("192.0.2.1", 32000), instance("192.0.2.2", 0), instance("192.0.2.3", 7)};
  Loop loop;
  Stela stela({.address = fake.address()}, loop.post());
  std::optional<iris::Result<std::vector<StelaService>>> found;
  stela.discover(Stela::service_name, 0ms, [&](auto result) { found = std::move(result); });
  REQUIRE(loop.run_until([&] { return found.has_value(); }));
  REQUIRE(found->has_value());
  REQUIRE(found->value().size() == 2);  // nobody can be reached at port 0
  CHECK(found->value()[0].ipv4 == "192.0.2.1");
  CHECK(found->value()[1].port == 7);
}

TEST_CASE("an empty list, or an error in Stela's own words, is nobody") {
  FakeStela fake;
  SECTION("empty list") {}
  SECTION("error") {
    fake.discover_status = grpc::Status(grpc::StatusCode::UNKNOWN, "no such service");
  }
  Loop loop;
  Stela stela({.address = fake.address()}, loop.post());
  std::optional<iris::Result<std::vector<StelaService>>> found;
  int troubles = 0;
  stela.discover(
      Stela::service_name, 0ms, [&](auto result) { found = std::move(result); },
      [&](const iris::Error&) { ++troubles; });
  REQUIRE(loop.run_until([&] { return found.has_value(); }));
  REQUIRE(found->has_value());
  CHECK(found->value().empty());
  CHECK(troubles == 0);
}

TEST_CASE("a Stela that cannot be reached is never nobody: it is asked until it is (hazard 56)") {
  int port = 0;
  {
    const FakeStela gone;
    port = gone.port();
  }
  Loop loop;
  Stela stela({.address = "127.0.0.1:" + std::to_string(port)}, loop.post());
  std::optional<iris::Result<std::vector<StelaService>>> found;
  int troubles = 0;
  std::string text;
  stela.discover(
      Stela::service_name, 0ms, [&](auto result) { found = std::move(result); },
      [&](const iris::Error& error) {
        ++troubles;
        text = error.text;
      });
  REQUIRE(loop.run_until([&] { return troubles >= 3; }));
  CHECK_FALSE(found.has_value());
  CHECK(text.find(std::to_string(port)) != std::string::npos);

  FakeStela fake(port);
  fake.found = {instance("192.0.2.1", 32000)};
  REQUIRE(loop.run_until([&] { return found.has_value(); }));
  REQUIRE(found->has_value());
  CHECK(found->value().size() == 1);
}

TEST_CASE("what only a transport can have said is not an answer") {
  for (const auto code : {grpc::StatusCode::UNAVAILABLE, grpc::StatusCode::DEADLINE_EXCEEDED,
                          grpc::StatusCode::INTERNAL, grpc::StatusCode::UNAUTHENTICATED,
                          grpc::StatusCode::UNIMPLEMENTED}) {
    FakeStela fake;
    fake.discover_status = grpc::Status(code, "trouble");
    Loop loop;
    Stela stela({.address = fake.address()}, loop.post());
    std::optional<iris::Result<std::vector<StelaService>>> found;
    stela.discover(Stela::service_name, 200ms, [&](auto result) { found = std::move(result); });
    REQUIRE(loop.run_until([&] { return found.has_value(); }));
    REQUIRE_FALSE(found->has_value());
    CHECK(found->error().code == Errc::unavailable);
  }
}

TEST_CASE("a node is registered, again after Stela forgot it, and deregistered at the end") {
  auto fake = std::make_unique<FakeStela>();
  const int port = fake->port();
  Loop loop;
  Stela stela({.address = fake->address(), .own_ipv4 = "192.0.2.7"}, loop.post());
  int good = 0;
  int bad = 0;
  stela.keep_registered(own, [&](iris::Status status) { ++(status ? good : bad); });
  REQUIRE(loop.run_until([&] { return good == 1; }));
  REQUIRE(fake->await_registered(1));
  CHECK(fake->client_address == "192.0.2.7");
  CHECK(fake->registered().ipv4() == "192.0.2.7");
  CHECK(fake->registered().port() == 32000);
  CHECK(fake->registered().hostname() == "host");

  fake->drop_streams();
  REQUIRE(loop.run_until([&] { return good == 2; }));
  CHECK(bad == 1);
  REQUIRE(fake->await_registrations(2));
  REQUIRE(fake->await_registered(1));

  // Stela dies, and comes back knowing nothing.
  fake.reset();
  REQUIRE(loop.run_until([&] { return bad >= 3; }));
  fake = std::make_unique<FakeStela>(port);
  REQUIRE(loop.run_until([&] { return good == 3; }));
  REQUIRE(fake->await_registered(1));

  bool stopped = false;
  stela.stop(2s, [&] { stopped = true; });
  REQUIRE(loop.run_until([&] { return stopped; }));
  CHECK(fake->await_registered(0));
}

TEST_CASE("a node that Stela does not list any more registers again, though the stream stands") {
  FakeStela fake;
  Loop loop;
  Stela stela({.address = fake.address(), .own_ipv4 = "192.0.2.7"}, loop.post());
  int good = 0;
  std::string why;
  stela.keep_registered(own, [&](iris::Status status) {
    if (status) {
      ++good;
    } else {
      why = status.error().text;
    }
  });
  REQUIRE(loop.run_until([&] { return good == 1; }));
  fake.forget();
  const auto start = std::chrono::steady_clock::now();
  REQUIRE(loop.run_until([&] { return good == 2; }));
  CHECK(std::chrono::steady_clock::now() - start < Stela::known_again_max);
  CHECK(why.find("does not list this node") != std::string::npos);
  REQUIRE(fake.await_registered(1));
}

TEST_CASE("a registered node that Stela lists is left alone") {
  FakeStela fake;
  Loop loop;
  Stela stela({.address = fake.address(), .own_ipv4 = "192.0.2.7"}, loop.post());
  int changes = 0;
  stela.keep_registered(own, [&](const iris::Status&) { ++changes; });
  CHECK_FALSE(loop.run_until([&] { return changes > 1; }, 3s));
  CHECK(changes == 1);
}

// Its host lost power, say: no end of the stream tells of that.
TEST_CASE("a Stela that answers nothing any more is dialled anew") {
  FakeStela fake;
  Loop loop;
  Stela stela({.address = fake.address(), .own_ipv4 = "192.0.2.7"}, loop.post());
  int good = 0;
  stela.keep_registered(own, [&](const iris::Status& status) { good += status ? 1 : 0; });
  REQUIRE(loop.run_until([&] { return good == 1; }));
  fake.silent = true;
  REQUIRE(loop.run_until([&] { return good == 2; }));
}

TEST_CASE("a Stela that is down for long is tried often enough to be told in time of its return") {
  auto fake = std::make_unique<FakeStela>();
  const int port = fake->port();
  Loop loop;
  Stela stela({.address = fake->address(), .own_ipv4 = "192.0.2.7"}, loop.post());
  int good = 0;
  stela.keep_registered(own, [&](const iris::Status& status) { good += status ? 1 : 0; });
  REQUIRE(loop.run_until([&] { return good == 1; }));
  fake.reset();
  fake = std::make_unique<FakeStela>(port);
  fake->refuse(true);
  REQUIRE(fake->await_refusals(7));  // as late as it gets
  fake->refuse(false);
  const auto start = std::chrono::steady_clock::now();
  REQUIRE(loop.run_until([&] { return good == 2; }));
  CHECK(std::chrono::steady_clock::now() - start < 2s);
}

TEST_CASE("a proxy for the web is not asked for Stela") {
  FakeStela fake;
  fake.found = {instance("192.0.2.1", 32000)};
  ::setenv("http_proxy", "http://127.0.0.1:9", 1);
  Loop loop;
  std::optional<iris::Result<std::vector<StelaService>>> found;
  {
    Stela stela({.address = fake.address()}, loop.post());
    stela.discover(Stela::service_name, 2s, [&](auto result) { found = std::move(result); });
    CHECK(loop.run_until([&] { return found.has_value(); }));
  }
  ::unsetenv("http_proxy");
  REQUIRE(found);
  CHECK(found->has_value());
}

TEST_CASE("what Stela left out does not make a service another's") {
  const StelaService same{Stela::service_name, "host", "192.0.2.7", "", 32000};
  CHECK(same_place(same, own));
  CHECK(same_place({"", "", "192.0.2.7", "2001:db8::7", 32000}, own));
  CHECK_FALSE(same_place({"", "host", "192.0.2.7", "", 32001}, own));
  CHECK_FALSE(same_place({"", "host", "192.0.2.8", "", 32000}, own));
  CHECK_FALSE(same_place({"", "other", "192.0.2.7", "", 32000}, own));
}

TEST_CASE("the end of the process is not held up by a Stela that is gone") {
  int port = 0;
  {
    const FakeStela gone;
    port = gone.port();
  }
  Loop loop;
  bool stopped = false;
  std::optional<bool> answered;
  const auto start = std::chrono::steady_clock::now();
  {
    Stela stela({.address = "127.0.0.1:" + std::to_string(port)}, loop.post());
    int bad = 0;
    stela.keep_registered(own, [&](const iris::Status& status) { bad += status ? 0 : 1; });
    stela.discover(Stela::service_name, 0ms, [&](auto result) { answered = result.has_value(); });
    REQUIRE(loop.run_until([&] { return bad > 0; }));
    stela.stop(500ms, [&] { stopped = true; });
    REQUIRE(loop.run_until([&] { return stopped && answered.has_value(); }));
  }
  CHECK_FALSE(*answered);
  CHECK(std::chrono::steady_clock::now() - start < 5s);
}

TEST_CASE("a node's own address is an IPv4 address") {
  const std::string own_address = Stela::own_ipv4_address();
  CHECK(std::count(own_address.begin(), own_address.end(), '.') == 3);
}
