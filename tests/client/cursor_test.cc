// The arithmetic behind a listener: which update is new, and from where a cut stream goes on.
#include <cstdint>
#include <string>
#include <vector>

#include "src/client/cursor.h"
#include "tests/catch.h"
#include "tests/client/update_text.h"

using iris::client::Cursor;
using iris::client::Position;
using iris::client::Update;
using iris::test::text_of;
using iris::test::Texts;
using Op = Update::Op;

namespace {

// Live updates and marks, as a stream brings them.
Update put(std::uint64_t revision, const std::string& key) {
  return {Op::put, "s", key, "", revision};
}
Update removed(std::uint64_t revision, const std::string& key) {
  return {Op::remove, "s", key, "", revision};
}
Update mark(Op op, std::uint64_t revision) { return {op, "", "", "", revision}; }

}  // namespace

TEST_CASE("a cursor goes on within a revision that was cut off (hazards 86, 89)") {
  Cursor cursor({}, false);
  CHECK(cursor.after_revision() == 0);
  CHECK(cursor.take(put(5, "k")));
  CHECK(cursor.after_revision() == 4);  // 5 may not be over
  CHECK(cursor.take(removed(7, "a")));
  CHECK(cursor.take(removed(7, "b")));
  CHECK(cursor.position() == Position{7, "b", "s"});
  // Cut off and asked for again from 6.
  CHECK(cursor.after_revision() == 6);
  CHECK_FALSE(cursor.take(removed(7, "a")));
  CHECK_FALSE(cursor.take(removed(7, "b")));
  CHECK(cursor.take(removed(7, "c")));
  CHECK(cursor.take(mark(Op::bookmark, 7)));
  CHECK(cursor.after_revision() == 7);
  CHECK_FALSE(cursor.take(removed(7, "d")));
  CHECK(cursor.take(mark(Op::bookmark, 9)));
  CHECK(cursor.after_revision() == 9);
  // A node that lags behind what was seen already.
  CHECK_FALSE(cursor.take(mark(Op::bookmark, 8)));
  CHECK_FALSE(cursor.take(put(8, "z")));
  CHECK(cursor.after_revision() == 9);
}

TEST_CASE("a cursor takes no position from a state, and begins it anew when it was cut off") {
  Cursor cursor({5, "k"}, false);
  CHECK(cursor.after_revision() == 4);
  CHECK(cursor.take(mark(Op::resync, 20)));
  CHECK(cursor.take(put(3, "a")));  // older than anything seen, and yet state
  CHECK(cursor.position() == Position{});
  CHECK(cursor.send_initial());
  CHECK(cursor.after_revision() == 0);
  CHECK(cursor.begin_stream());  // a resync is owed
  CHECK(cursor.take(put(3, "a")));
  CHECK(cursor.take(mark(Op::synced, 20)));
  CHECK(cursor.position() == Position{20, ""});
  CHECK_FALSE(cursor.send_initial());
  CHECK_FALSE(cursor.begin_stream());
  CHECK_FALSE(cursor.take(put(20, "a")));
  CHECK(cursor.take(put(21, "a")));

  Cursor initial({}, true);
  CHECK(initial.send_initial());
  CHECK_FALSE(initial.begin_stream());  // nothing was delivered: nothing to forget
  initial.start_over();
  CHECK(initial.send_initial());
  CHECK_FALSE(initial.begin_stream());
  CHECK(initial.take(put(3, "a")));
  initial.start_over();
  CHECK(initial.begin_stream());
}

TEST_CASE("a cursor goes on within a revision of several sources (hazards 86, 89)") {
  const auto of = [](const std::string& source, const std::string& key) {
    return Update{Op::put, source, key, "", 7, true};
  };
  Cursor cursor({6, ""}, false);
  CHECK(cursor.take(of("s", "z")));
  CHECK(cursor.take(of("t", "b")));  // a key before the last one, and yet new
  CHECK(cursor.position() == Position{7, "b", "t"});
  CHECK(cursor.after_revision() == 6);
  CHECK_FALSE(cursor.take(of("s", "z")));
  CHECK_FALSE(cursor.take(of("t", "b")));
  CHECK(cursor.take(of("t", "c")));
  CHECK(cursor.take(of("u", "a")));

  Cursor kept({7, "b", "t"}, false);
  CHECK_FALSE(kept.take(of("s", "z")));
  CHECK_FALSE(kept.take(of("t", "a")));
  CHECK(kept.take(of("t", "c")));
}

TEST_CASE("a position of a former build, which names no source, passes nothing over") {
  Cursor cursor({7, "b"}, false);
  CHECK(cursor.after_revision() == 6);
  CHECK_FALSE(cursor.take(removed(7, "a")));
  CHECK_FALSE(cursor.take(removed(7, "b")));
  CHECK(cursor.take({Op::remove, "t", "a", "", 7}));  // of another source: it may be new
  CHECK(cursor.take({Op::remove, "t", "b", "", 7}));
  CHECK_FALSE(cursor.take(removed(7, "c")));  // out of order

  Cursor one({7, "b"}, false);
  CHECK(one.take(removed(7, "c")));
  CHECK(one.position() == Position{7, "c", "s"});
}

TEST_CASE("whatever is cut off wherever, a cursor delivers each update once, in order") {
  // Revisions with one to three keys, of one or two sources; a stream may break behind any update.
  std::vector<Update> all;
  for (std::uint64_t revision = 2; revision < 12; ++revision) {
    for (std::uint64_t i = 0; i <= revision % 3; ++i) {
      all.push_back(removed(revision, std::string(1, static_cast<char>('a' + i))));
    }
    for (std::uint64_t i = 0; i < revision % 4 && revision > 5; ++i) {
      all.push_back({Op::put, "t", std::string(1, static_cast<char>('a' + i)), "", revision});
    }
  }
  for (std::size_t first = 0; first <= all.size(); ++first) {
    for (std::size_t second = first; second <= all.size(); ++second) {
      Cursor cursor({1, ""}, false);
      Texts delivered;
      for (const std::size_t until : {first, second, all.size()}) {
        const std::uint64_t after = cursor.after_revision();
        for (std::size_t i = 0; i < until; ++i) {
          if (all[i].revision > after && cursor.take(all[i])) delivered.push_back(text_of(all[i]));
        }
      }
      Texts expected;
      for (const auto& update : all) expected.push_back(text_of(update));
      REQUIRE(delivered == expected);
    }
  }
}
