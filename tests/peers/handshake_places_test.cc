// Which unfinished handshake goes when one more comes, and that a flood keeps no member out.
#include "src/peers/handshake_places.h"

#include <list>
#include <random>
#include <set>

#include "src/peers/peers.h"
#include "tests/catch.h"
#include "tests/peers/harness.h"

namespace iris {
namespace {

TEST_CASE(
    "places of unfinished handshakes: the origin with the most loses one, members keep theirs") {
  using Origin = HandshakePlaces::Origin;
  const HandshakePlaces places{4, 3};
  std::mt19937_64 chance(1);
  std::vector<Origin> open{{"a"}, {"a"}, {"b"}};
  CHECK_FALSE(places.displaced(open, {"c"}, chance));
  open.push_back({"a"});
  const auto lost = places.displaced(open, {"c"}, chance);  // the shared ones are full
  REQUIRE(lost);
  CHECK(open[*lost].name == "a");
  CHECK_FALSE(places.displaced(open, {"m", true}, chance));
  for (int i = 0; i < 3; ++i) open.push_back({"m", true});
  const auto own = places.displaced(open, {"m", true}, chance);  // a member's address has a limit
  REQUIRE(own);
  CHECK(open[*own].member);
  CHECK_FALSE(places.displaced(open, {"n", true}, chance));
  // Chance says which of an origin's goes: each of them does in the end.
  std::set<std::size_t> gone;
  for (int i = 0; i < 100; ++i) gone.insert(*places.displaced(open, {"a"}, chance));
  CHECK(gone == std::set<std::size_t>{0, 1, 3});
  const auto name = [](const char* text) {
    return HandshakePlaces::origin_name(asio::ip::make_address(text));
  };
  CHECK(name("2001:db8::1:2:3:4") == name("2001:db8:0:0:5::6"));
  CHECK(name("2001:db8::1") != name("2001:db8:0:1::1"));
  CHECK(name("::ffff:192.0.2.1") == name("192.0.2.1"));
}

TEST_CASE("a flood of strangers does not keep a slow member out (hazard 110)") {
  Loop loop;
  PeersOptions options = quick_options(1);
  options.handshakes_max = 4;
  TestNode node(loop, options);
  // A member whose address is its own, and that is far away: its hello comes late.
  node.peers.set_peers({{{2}, "127.0.0.77:9"}});
  REQUIRE(loop.until([&] { return node.peers.stats().dials > 0; }));
  RawSocket member(loop, "", node.peers.port(), local_address(77));
  std::list<RawSocket> strangers;
  for (int i = 0; i < 100; ++i)
    strangers.emplace_back(loop, "", node.peers.port(), local_address(78 + i));
  REQUIRE(loop.until([&] { return node.peers.stats().accepted == 101; }));
  REQUIRE(loop.never([&] { return member.closed; }, milliseconds(100)));
  member.write(framed(wire::write(hello_of(2))));
  REQUIRE(loop.until([&] { return member.welcome().has_value(); }));
  CHECK(member.welcome()->refusal.empty());
}

}  // namespace
}  // namespace iris
