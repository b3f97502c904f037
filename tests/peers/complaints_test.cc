// What the log says of others, and how often.
#include "src/peers/complaints.h"

#include "src/base/log_limiter.h"
#include "src/peers/peers.h"
#include "tests/catch.h"
#include "tests/peers/harness.h"

namespace iris {
namespace {

TEST_CASE("the same complaint is made once in a while, with the count of the rest") {
  LogLimiter limiter(std::chrono::seconds(10), 2);
  const auto now = Clock::now();
  CHECK(limiter.allow("a", now) == 0);
  CHECK_FALSE(limiter.allow("a", now + std::chrono::seconds(9)));
  CHECK_FALSE(limiter.allow("a", now + std::chrono::seconds(9)));
  CHECK(limiter.allow("b", now + std::chrono::seconds(9)) == 0);
  CHECK(limiter.allow("a", now + std::chrono::seconds(10)) == 2);
  CHECK_FALSE(limiter.allow("c", now + std::chrono::seconds(18)));  // its memory is full
  CHECK(limiter.allow("c", now + std::chrono::seconds(19)) == 1);   // "b" is forgotten
  CHECK_FALSE(limiter.allow("b", now + std::chrono::seconds(19)));
}

TEST_CASE("complaints about one peer use up nothing of another's, and all of them are bounded") {
  Complaints complaints(std::chrono::seconds(10), 3, 2);
  const auto now = Clock::now();
  CHECK(complaints.allow("a", "1", now) == 0);
  CHECK(complaints.allow("a", "2", now) == 0);
  for (int i = 3; i < 1'000; ++i) CHECK_FALSE(complaints.allow("a", std::to_string(i), now));
  CHECK(complaints.allow("b", "1", now + std::chrono::seconds(1)) == 0);
  CHECK(complaints.allow("c", "1", now + std::chrono::seconds(2)) == 0);
  CHECK_FALSE(complaints.allow("d", "1", now + std::chrono::seconds(9)));
  CHECK(complaints.allow("a", "1", now + std::chrono::seconds(10)) == 998);
  CHECK_FALSE(complaints.allow("d", "1", now + std::chrono::seconds(10)));
  CHECK(complaints.allow("d", "1", now + std::chrono::seconds(11)) == 1);  // in place of "b"
  complaints.forget("c");
  CHECK(complaints.allow("c", "1", now + std::chrono::seconds(11)) == 0);
}

TEST_CASE("strangers' lines in the log do not silence what it says of a member") {
  Loop loop;
  TestNode node(loop, quick_options(1));
  TestNode member(loop, quick_options(2));
  node.peers.set_peers({member.member()});
  REQUIRE(loop.until([&] { return node.peers.connected(member.id); }));
  const LogCapture log;
  for (int i = 0; i < 200; ++i) {  // each with words of its own, from addresses of its own
    wire::Hello hello = hello_of(1'000u + static_cast<unsigned>(i));
    hello.sender.cluster = {0xbad};
    const RawSocket stranger(loop, framed(wire::write(hello)), node.peers.port(),
                             local_address(2 + i));
    REQUIRE(loop.until([&] { return stranger.closed; }));
  }
  CHECK(log.count("refused a connection on the raft port") <= 128);
  RawSocket bad(loop, framed(wire::write(hello_of(member.id.value))), node.peers.port());
  REQUIRE(loop.until([&] { return bad.welcome().has_value(); }));
  bad.write(framed("no batch"));
  REQUIRE(loop.until([&] { return bad.closed; }));
  CHECK(log.count("\"peer\":\"0000000000000002\",\"why\":\"") == 1);
}

}  // namespace
}  // namespace iris
