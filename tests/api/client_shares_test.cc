// ClientShares: what one connection may hold, and what happens where all together hold too much.
#include "src/api/client_shares.h"

#include <list>
#include <string>

#include "tests/catch.h"

namespace iris {
namespace {

using Patience = ClientShares::Patience;

class Answer final : public ClientShares::Answer {
 public:
  bool broken_off = false;
  void break_off() override {
    REQUIRE_FALSE(broken_off);  // once
    broken_off = true;
  }
};

struct Fixture {
  explicit Fixture(ClientShareLimits limits = {}) : shares(limits) {}
  ~Fixture() {
    for (Answer& answer : answers) shares.end(answer);
  }
  Answer& begin(ClientShares::Share& share, std::size_t bytes,
                Patience patience = Patience::answer) {
    answers.emplace_back();
    shares.begin(answers.back(), share, bytes, patience);
    return answers.back();
  }
  void end(Answer& answer) {
    shares.end(answer);
    answers.remove_if([&](const Answer& each) { return &each == &answer; });
  }

  ClientShares shares;
  std::list<Answer> answers;
};

TEST_CASE("a connection may have calls_max calls open, one more is refused by a sentence") {
  Fixture fixture({.calls_max = 3});
  ClientShares::Share& share = fixture.shares.enter("a");
  for (int i = 1; i < 3; ++i) static_cast<void>(fixture.shares.enter("a"));
  CHECK(fixture.shares.may_call(share));
  static_cast<void>(fixture.shares.enter("a"));
  const Status refused = fixture.shares.may_call(share);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == Errc::limit);
  CHECK(refused.error().text == "over the limit of 3 open calls of one connection");
  fixture.shares.leave(share);
  CHECK(fixture.shares.may_call(share));
  CHECK(fixture.shares.may_call(fixture.shares.enter("b")));  // others have shares of their own
}

TEST_CASE("untaken answers of a connection are bounded in bytes, but for the first") {
  Fixture fixture({.answer_bytes_max = 100});
  ClientShares::Share& share = fixture.shares.enter("a");
  CHECK(fixture.shares.may_answer(share, 1'000));
  Answer& first = fixture.begin(share, 60);
  CHECK(fixture.shares.may_answer(share, 40));
  const Status refused = fixture.shares.may_answer(share, 41);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == Errc::limit);
  CHECK(refused.error().text ==
        "answers of 60 bytes that this connection has not read yet leave no room for 41 more: the "
        "limit is 100");
  fixture.end(first);
  CHECK(fixture.shares.may_answer(share, 41));
  CHECK(fixture.shares.answer_bytes() == 0);
}

// Each of 1,401 reads of 4 MB was read whole before it was refused: 2.6 GiB, and seconds of the
// loop.
TEST_CASE("a connection that was refused an answer is read nothing more for until it takes one") {
  Fixture fixture({.answer_bytes_max = 100});
  ClientShares::Share& share = fixture.shares.enter("a");
  Answer& first = fixture.begin(share, 60);
  CHECK(fixture.shares.may_answer(share, 40));
  CHECK(fixture.shares.may_read(share));
  CHECK_FALSE(fixture.shares.may_answer(share, 41));
  const Status refused = fixture.shares.may_read(share);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == Errc::limit);
  CHECK(refused.error().text ==
        "answers of 60 bytes that this connection has not read yet leave no room for more: the "
        "limit is 100");
  Answer& refusal = fixture.begin(share, 0);
  fixture.end(refusal);
  CHECK_FALSE(fixture.shares.may_read(share));
  CHECK(fixture.shares.may_read(fixture.shares.enter("b")));
  fixture.end(first);
  CHECK(fixture.shares.may_read(share));
}

TEST_CASE("over the total the connection that holds most loses its answers, nobody else") {
  Fixture fixture({.total_answer_bytes_max = 100});
  ClientShares::Share& great = fixture.shares.enter("great");
  ClientShares::Share& small = fixture.shares.enter("small");
  Answer& great_one = fixture.begin(great, 50);
  Answer& small_one = fixture.begin(small, 10);
  Answer& great_two = fixture.begin(great, 40);
  CHECK_FALSE(great_one.broken_off);  // 100: at the limit
  Answer& small_two = fixture.begin(small, 1);
  CHECK(great_one.broken_off);
  CHECK(great_two.broken_off);
  CHECK_FALSE(small_one.broken_off);
  CHECK_FALSE(small_two.broken_off);

  SECTION("what is broken off and not gone yet counts for nothing: others go on") {
    ClientShares::Share& third = fixture.shares.enter("third");
    CHECK_FALSE(fixture.begin(third, 80).broken_off);
    Answer& over = fixture.begin(third, 10);  // 101
    CHECK(over.broken_off);
    CHECK_FALSE(small_one.broken_off);
  }
  SECTION("what is broken off makes nobody the one that holds most") {
    Answer& third = fixture.begin(fixture.shares.enter("third"), 60);
    Answer& fourth = fixture.begin(fixture.shares.enter("fourth"), 30);  // 101
    CHECK(third.broken_off);
    CHECK_FALSE(fourth.broken_off);
    CHECK_FALSE(small_one.broken_off);
  }
  SECTION("what is gone leaves room") {
    fixture.end(great_one);
    fixture.end(great_two);
    CHECK(fixture.shares.answer_bytes() == 11);
    CHECK_FALSE(fixture.begin(great, 89).broken_off);
  }
}

TEST_CASE("an answer that is not taken between two sweeps is broken off") {
  Fixture fixture;
  ClientShares::Share& share = fixture.shares.enter("a");
  Answer& old = fixture.begin(share, 1);
  fixture.shares.sweep();
  CHECK_FALSE(old.broken_off);
  Answer& young = fixture.begin(share, 1);
  fixture.shares.sweep();
  CHECK(old.broken_off);
  CHECK_FALSE(young.broken_off);
}

TEST_CASE("an answer that waits behind others lives while its connection takes any") {
  Fixture fixture;
  ClientShares::Share& share = fixture.shares.enter("a");
  Answer& waits = fixture.begin(share, 1, Patience::connection);
  for (int i = 0; i < 3; ++i) {
    Answer& taken = fixture.begin(share, 1, Patience::connection);
    fixture.shares.sweep();
    fixture.end(taken);
    CHECK_FALSE(waits.broken_off);
  }
  fixture.shares.sweep();  // one was taken since the last
  CHECK_FALSE(waits.broken_off);
  fixture.shares.sweep();
  CHECK(waits.broken_off);
}

TEST_CASE("a connection without calls is forgotten at the next sweep") {
  Fixture fixture;
  ClientShares::Share& share = fixture.shares.enter("a");
  fixture.shares.sweep();
  CHECK(fixture.shares.connections() == 1);
  fixture.shares.leave(share);
  fixture.shares.sweep();
  CHECK(fixture.shares.connections() == 0);
}

}  // namespace
}  // namespace iris
