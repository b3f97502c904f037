// Patience: who is given more time, and when no longer. Pure.
#include "src/client/patience.h"
#include "tests/catch.h"

using iris::client::Patience;
using iris::client::Position;
using namespace std::chrono_literals;

TEST_CASE("each stream that falls silent at the same place doubles the time, up to a limit") {
  Patience patience(5s);
  CHECK(patience.silent_max() == 15s);
  for (const auto expected : {30s, 60s, 120s, 240s, 480s, 600s, 600s}) {
    patience.fell_silent({7, "a"});
    CHECK(patience.silent_max() == expected);
    patience.heard({7, "a"}, false, 0s);  // what came before, again
    CHECK(patience.silent_max() == expected);
  }
  patience.heard({7, "b"}, false, 0s);
  CHECK(patience.silent_max() == 15s);
}

TEST_CASE("every heartbeat gets three of its own, and the shortest reaches the limit as well") {
  Patience longest(1h), shortest(100ms);
  for (int i = 0; i < 1000; ++i) {
    longest.fell_silent({});
    shortest.fell_silent({});
  }
  CHECK(longest.silent_max() == 3h);
  CHECK(shortest.silent_max() == Patience::silent_longest);
}

TEST_CASE("only what is behind the place where a stream fell silent ends the patience") {
  struct {
    Position stopped_at, now;
    bool ends;
  } const cases[] = {
      {{7, ""}, {7, ""}, false},
      {{7, ""}, {6, ""}, false},
      {{7, ""}, {7, "a"}, false},
      {{7, ""}, {8, "a"}, true},
      {{7, "b"}, {7, "a"}, false},
      {{7, "b"}, {7, "c"}, true},
      {{7, "b"}, {7, ""}, true},
      {{7, "b"}, {8, "a"}, true},
      {{7, "b"}, {6, "c"}, false},
      {{}, {}, false},
      {{}, {1, ""}, true},                   // amid a state; and it is complete
      {{7, ""}, {}, false},                  // a state begins
      {{7, "b", "s"}, {7, "a", "t"}, true},  // in the next source
      {{7, "b", "t"}, {7, "c", "s"}, false},
      {{7, "b", "s"}, {7, "", ""}, true},
  };
  for (const auto& at : cases) {
    Patience patience(1s);
    patience.fell_silent(at.stopped_at);
    patience.heard(at.now, false, 1h);
    INFO(at.stopped_at.revision << at.stopped_at.key << " " << at.now.revision << at.now.key);
    CHECK((patience.silent_max() == 3s) == at.ends);
  }
}

TEST_CASE("a stream that is merely quiet needs no patience: it was the node that fell silent") {
  Patience patience(1s);
  patience.fell_silent({7, ""});
  patience.heard({7, ""}, true, 0s);  // the bookmark that each stream begins with
  patience.heard({7, ""}, true, 5'999ms);
  CHECK(patience.silent_max() == 6s);
  patience.heard({7, ""}, true, 6s);
  CHECK(patience.silent_max() == 3s);
}
