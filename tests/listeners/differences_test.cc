// Differences: every way in which a few messages and answers may be lost.
#include "src/listeners/differences.h"

#include <array>

#include "tests/catch.h"

namespace iris::testing {
namespace {

using listening::Known;
using listening::Told;

// Two things, each with the number of its last change, told from one node to another.
struct Telling {
  std::array<std::uint64_t, 2> here{};
  std::array<std::uint64_t, 2> there{};
  std::uint64_t latest = 0;
  std::uint64_t tick = 0;
  Told told;
  Known known;

  void change(std::size_t thing) { here[thing] = ++latest; }
  // A message with all that is to be told, and its answer.
  void exchange(bool message_lost, bool answer_lost) {
    ++tick;
    told.repeat_after(3, tick);
    const std::uint64_t after = told.up_to();
    told.tell(latest, tick);
    if (message_lost) return;
    if (known.take(after, latest)) {
      for (std::size_t thing = 0; thing < here.size(); ++thing) {
        if (here[thing] > after) there[thing] = here[thing];
      }
    }
    // What is known is known completely.
    for (std::size_t thing = 0; thing < here.size(); ++thing) {
      if (here[thing] <= known.up_to()) REQUIRE(there[thing] == here[thing]);
    }
    if (!answer_lost) told.answer(known.up_to(), known.missed(), tick);
  }
};

TEST_CASE("whatever is lost, the receiver knows all after the next message that finds its way") {
  constexpr unsigned rounds = 4;
  for (unsigned choice = 0; choice < 1u << (4 * rounds); ++choice) {
    Telling telling;
    for (unsigned round = 0; round < rounds; ++round) {
      const unsigned bits = choice >> (4 * round);
      if ((bits & 1) != 0) telling.change((bits >> 1) & 1);
      telling.exchange((bits & 4) != 0, (bits & 8) != 0);
    }
    telling.exchange(false, false);  // asks for what is missing
    telling.exchange(false, false);
    REQUIRE(telling.there == telling.here);
    REQUIRE(telling.known.up_to() == telling.latest);
    REQUIRE_FALSE(telling.known.missed());
  }
}

TEST_CASE("a receiver that has forgotten all is told all") {
  Telling telling;
  telling.change(0);
  telling.change(1);
  telling.exchange(false, false);
  telling.known.begin_anew();
  telling.there = {};
  telling.exchange(false, false);
  telling.exchange(false, false);
  CHECK(telling.there == telling.here);
}

TEST_CASE("a message that comes late or twice changes nothing") {
  Known known;
  CHECK(known.take(0, 3));
  CHECK_FALSE(known.take(0, 2));
  CHECK_FALSE(known.take(0, 3));
  CHECK(known.up_to() == 3);
  CHECK(known.take(1, 4));  // sent again, with more
  CHECK_FALSE(known.take(5, 6));
  CHECK(known.missed());
  CHECK(known.up_to() == 4);
  CHECK_FALSE(known.take(4, 4));
  CHECK_FALSE(known.missed());
}

TEST_CASE("what is not answered is told again, not before its time") {
  Told told;
  told.tell(2, 100);
  CHECK_FALSE(told.repeat_after(10, 109));
  told.tell(3, 109);
  CHECK(told.repeat_after(10, 110));
  CHECK(told.up_to() == 0);
  told.tell(3, 110);
  told.answer(2, false, 115);
  CHECK_FALSE(told.repeat_after(10, 124));
  CHECK(told.repeat_after(10, 125));
  CHECK(told.up_to() == 2);
  told.tell(3, 125);
  told.answer(3, false, 126);
  CHECK_FALSE(told.repeat_after(10, 1'000));
}

TEST_CASE("only so much is under way to a receiver that answers") {
  Told told;
  told.tell(50'000, 1);
  CHECK(told.may_tell());  // it may be of a former build, which does not answer
  told.answer(50'000, false, 2);
  told.tell(57'999, 3);
  CHECK(told.may_tell());
  told.tell(58'000, 4);
  CHECK_FALSE(told.may_tell());
  told.answer(50'001, false, 5);
  CHECK(told.may_tell());
  told.begin_anew();
  CHECK_FALSE(told.is_answered());
  CHECK(told.up_to() == 0);
}

}  // namespace
}  // namespace iris::testing
