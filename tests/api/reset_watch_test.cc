// ResetWatch: how many calls of one connection may end unanswered, and how floods of them are
// found.
#include "src/api/reset_watch.h"

#include <set>

#include "tests/catch.h"

namespace iris {
namespace {

using namespace std::chrono_literals;

constexpr ResetLimits limits = {.at_once_max = 100, .per_second_max = 10, .open_max = 50};
const ResetBudget::Clock::time_point start{};

TEST_CASE("a connection may reset at_once_max calls at once, one more is over") {
  ResetBudget at_limit(limits, start);
  CHECK(at_limit.spend(40, start));
  CHECK(at_limit.spend(100, start));  // in all
  CHECK_FALSE(at_limit.spend(101, start));
  ResetBudget over(limits, start);
  CHECK_FALSE(over.spend(101, start));
}

TEST_CASE("a connection may reset per_second_max calls a second for ever, one more is over") {
  ResetBudget budget(limits, start);
  CHECK(budget.spend(100, start));
  std::uint64_t total = 100;
  for (int second = 1; second <= 100; ++second) {
    total += 10;
    REQUIRE(budget.spend(total, start + second * 1s));
  }
  CHECK_FALSE(budget.spend(total + 11, start + 101s));
}

TEST_CASE("looks in quick succession lose nothing of what is allowed a second") {
  ResetBudget budget(limits, start);
  CHECK(budget.spend(100, start));
  for (auto after = 30ms; after < 1s; after += 30ms) CHECK(budget.spend(100, start + after));
  CHECK(budget.spend(110, start + 1s));
  CHECK_FALSE(budget.spend(111, start + 1s));
}

// Figures as the kernel and gRPC would give them; connection N has socket 1000 + N at gRPC.
struct Figures {
  std::map<int, std::uint64_t> bytes;
  std::map<ChannelzSocket, StreamFigures> figures;
  std::size_t asked_kernel = 0;
  std::set<ChannelzSocket> asked_grpc;
  std::size_t pages = 0;

  StreamCounts counts() {
    return {.received_bytes =
                [this](int descriptor) {
                  ++asked_kernel;
                  return bytes[descriptor];
                },
            .list =
                [this](ChannelzSocket& next, std::size_t count, const auto& found) {
                  ++pages;
                  std::size_t listed = 0;
                  for (const auto& [descriptor, ignored] : bytes) {
                    const ChannelzSocket socket = 1000 + descriptor;
                    if (socket < next) continue;
                    if (++listed > count) {
                      next = socket;
                      return;
                    }
                    found("peer" + std::to_string(descriptor), socket);
                  }
                  next = 0;
                },
            .figures = [this](ChannelzSocket socket) -> std::optional<StreamFigures> {
              asked_grpc.insert(socket);
              return figures[socket];
            }};
  }
};

struct Fixture : Figures {
  explicit Fixture(int connections) : watch(limits, counts()) {
    for (int each = 1; each <= connections; ++each) {
      bytes[each] = 0;
      watch.add(each, "peer" + std::to_string(each), start);
    }
  }
  std::vector<int> look() {
    std::vector<int> descriptors;
    for (const auto& finding : watch.look(start)) descriptors.push_back(finding.descriptor);
    return descriptors;
  }
  ResetWatch watch;
};

TEST_CASE("a flood of resets is found among busy and quiet connections") {
  Fixture test(3);
  CHECK(test.look().empty());
  CHECK(test.asked_grpc.empty());
  test.bytes[1] = test.bytes[2] = ResetWatch::look_bytes_min;
  test.bytes[3] = ResetWatch::look_bytes_min - 1;
  test.figures[1001].failed = 100;
  test.figures[1002].failed = 101;
  CHECK(test.look().empty());  // which sockets they are is found out first
  CHECK(test.look() == std::vector<int>{2});
  CHECK(test.asked_grpc == std::set<ChannelzSocket>{1001, 1002});

  SECTION("it is told once more when it goes on, until it is removed") {
    test.bytes[2] += ResetWatch::look_bytes_min;
    test.figures[1002].failed = 1'000;
    CHECK(test.look() == std::vector<int>{2});
    test.watch.remove(2);
    test.bytes[2] += ResetWatch::look_bytes_min;
    CHECK(test.look().empty());
  }
  SECTION("another connection of the same descriptor begins with nothing") {
    test.watch.add(2, "peer2", start);
    test.figures[1002].failed = 100;
    CHECK(test.look().empty());
    CHECK(test.look().empty());
  }
}

TEST_CASE("a connection may have open_max calls open at gRPC, one more is over") {
  Fixture test(2);
  test.bytes[1] = test.bytes[2] = ResetWatch::look_bytes_min;
  test.figures[1001].open = 50;
  test.figures[1002].open = 51;
  CHECK(test.look().empty());
  CHECK(test.look() == std::vector<int>{2});
}

// They were missed where the kernel had received all of them before the first look.
TEST_CASE("calls that gRPC reads long after the kernel received them are found") {
  Fixture test(1);
  test.bytes[1] = ResetWatch::look_bytes_min;
  for (std::uint64_t started = 1; started <= 50; ++started) {
    test.figures[1001] = {.started = started, .open = started};
    for (std::size_t i = 1; i < ResetWatch::looks_after_call; ++i) REQUIRE(test.look().empty());
  }
  test.figures[1001] = {.started = 51, .open = 51};
  CHECK(test.look() == std::vector<int>{1});
}

TEST_CASE("a connection that has become quiet is not looked at any more") {
  Fixture test(1);
  test.bytes[1] = ResetWatch::look_bytes_min;
  test.figures[1001].started = 1;
  for (std::size_t i = 0; i < ResetWatch::looks_after_call + 2; ++i) CHECK(test.look().empty());
  CHECK(test.asked_grpc.size() == 1);
  test.asked_grpc.clear();
  CHECK(test.look().empty());
  CHECK(test.asked_grpc.empty());
}

TEST_CASE("one look is bounded, and all connections get their turn") {
  constexpr int many = 1'700;
  Fixture test(many);
  test.bytes[many] = ResetWatch::look_bytes_min;
  test.figures[1000 + many].failed = 101;
  std::vector<int> over;
  int looks = 0;
  while (over.empty()) {
    REQUIRE(++looks < 20);
    const std::size_t asked = test.asked_kernel;
    const std::size_t pages = test.pages;
    over = test.look();
    CHECK(test.asked_kernel - asked <= ResetWatch::look_connections_max);
    CHECK(test.pages - pages <= 1);
  }
  CHECK(over == std::vector<int>{many});
}

TEST_CASE("gRPC names an end of a connection as its own lists do") {
  using asio::ip::make_address;
  CHECK(peer_text({make_address("192.0.2.1"), 7}) == "ipv4:192.0.2.1:7");
  CHECK(peer_text({make_address("::ffff:192.0.2.1"), 7}) == "ipv4:192.0.2.1:7");
  CHECK(peer_text({make_address("2001:db8::1"), 7}) == "ipv6:%5B2001:db8::1%5D:7");
}

}  // namespace
}  // namespace iris
