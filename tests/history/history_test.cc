// The checkers of histories, each on histories that are right and on planted bad ones; random
// histories of a register that is linearizable, and of one that is not.
#include <deque>
#include <random>
#include <sstream>

#include "tests/history/history_file.h"
#include "tests/history/revision_checker.h"
#include "tests/history/search_checker.h"
// After what uses raft/check.h: Catch2 has a CHECK too.
#include "tests/catch.h"

namespace iris::history {
namespace {

// Calls of a history, on the source s and the key k unless told otherwise. Times in us.
struct Story {
  History history;

  Operation& add(Kind kind, std::int64_t begin, std::int64_t end, Outcome outcome = Outcome::ok) {
    Operation operation;
    operation.client = static_cast<std::uint32_t>(history.size());
    operation.kind = kind;
    operation.source = "s";
    if (kind != Kind::remove_source && kind != Kind::list) operation.key = "k";
    operation.begin_us = begin;
    operation.end_us = end;
    operation.outcome = outcome;
    history.push_back(operation);
    return history.back();
  }
  Operation& set(std::int64_t begin, std::int64_t end, std::uint64_t revision,
                 const std::string& value) {
    Operation& operation =
        add(Kind::set, begin, end, revision == 0 ? Outcome::unknown : Outcome::ok);
    operation.revision = revision;
    operation.value = value;
    return operation;
  }
  Operation& remove(std::int64_t begin, std::int64_t end, std::uint64_t revision) {
    Operation& operation =
        add(Kind::remove, begin, end, revision == 0 ? Outcome::unknown : Outcome::ok);
    operation.revision = revision;
    return operation;
  }
  Operation& get(std::int64_t begin, std::int64_t end, std::uint64_t revision,
                 const std::string& value) {
    Operation& operation = add(Kind::get, begin, end);
    operation.found = revision != 0;
    operation.revision = revision;
    operation.value = value;
    return operation;
  }
  Operation& list(std::int64_t begin, std::int64_t end, std::vector<Row> rows) {
    Operation& operation = add(Kind::list, begin, end);
    operation.rows = std::move(rows);
    return operation;
  }
};

std::string said(const Verdict& verdict) {
  std::string all;
  for (const std::string& violation : verdict.violations) all += violation + "\n";
  return all;
}

void good(const Story& story) {
  CHECK(said(check_revisions(story.history)).empty());
  CHECK(said(check_by_search(story.history)).empty());
}

// The one thing that the checker by revisions has to say.
void wrong(const Story& story, const std::string& text) {
  const Verdict verdict = check_revisions(story.history);
  CAPTURE(said(verdict));
  REQUIRE(verdict.violations.size() == 1);
  CHECK(verdict.violations[0].find(text) == 0);
}

void no_order(const Story& story) {
  const Verdict verdict = check_by_search(story.history);
  REQUIRE(verdict.violations.size() == 1);
  CHECK(verdict.violations[0].find("no order of the calls of s/k") == 0);
}

}  // namespace

TEST_CASE("a history in order is right") {
  Story story;
  story.get(0, 1, 0, "");
  story.set(2, 5, 7, "a");
  story.get(6, 7, 7, "a");
  story.set(8, 12, 9, "b");
  story.get(9, 10, 7, "a");  // amid the write: the old value or the new one
  story.get(11, 13, 9, "b");
  story.remove(14, 15, 11);
  story.get(16, 17, 0, "");
  good(story);
}

TEST_CASE("a value that is older than one known before is found (stale read)") {
  Story story;
  story.set(0, 1, 5, "a");
  story.set(2, 3, 6, "b");
  story.get(4, 5, 5, "a");
  wrong(story, "an old value was read: get s/k = a");
  no_order(story);
  story.history.back().stale = true;  // as it was asked for
  good(story);
}

TEST_CASE("two reads that see a write come and go are found") {
  Story story;
  story.set(0, 1, 5, "a");
  story.set(2, 20, 6, "b");
  story.get(3, 4, 6, "b");
  story.get(5, 6, 5, "a");
  wrong(story, "an old value was read");
  no_order(story);
}

TEST_CASE("an acknowledged value that is gone is found (lost write)") {
  Story story;
  story.set(0, 1, 5, "a");
  story.get(2, 3, 0, "");
  wrong(story, "a value is lost");
  no_order(story);
  // A removal that may have been done explains it.
  story.remove(0, 10, 0);
  good(story);
}

TEST_CASE("a value that nobody stored, or stored later, is found") {
  Story never;
  never.get(2, 3, 5, "a");
  wrong(never, "nobody stored \"a\"");
  no_order(never);
  Story other_revision;
  other_revision.set(0, 1, 5, "a");
  other_revision.get(2, 3, 6, "a");
  wrong(other_revision, "nobody stored \"a\" at revision 6");
  Story later;
  later.get(0, 1, 5, "a");
  later.set(2, 3, 5, "a");
  wrong(later, "read before it was stored");
  no_order(later);
}

TEST_CASE("a write of unknown outcome is done, or not, but not both") {
  Story story;
  story.set(0, 1, 5, "a");
  story.set(2, 3, 0, "b");  // unknown
  story.get(4, 5, 5, "a");
  story.get(6, 7, 8, "b");
  story.get(8, 9, 8, "b");
  good(story);
  story.get(10, 11, 5, "a");
  wrong(story, "an old value was read");
  no_order(story);
}

TEST_CASE("a write that was answered as failed and is read is found") {
  Story story;
  story.set(0, 1, 5, "a");
  Operation& failed = story.set(2, 3, 0, "b");
  failed.outcome = Outcome::not_done;
  story.get(4, 5, 6, "b");
  wrong(story, "nobody stored \"b\"");
  no_order(story);
}

TEST_CASE("revisions that repeat, or run against time, are found") {
  Story twice;
  twice.set(0, 1, 5, "a");
  twice.set(0, 1, 5, "b").key = "other";
  wrong(twice, "one revision for two commands");
  Story back;
  back.set(0, 1, 5, "a").key = "other";
  back.set(2, 3, 4, "b");
  wrong(back, "a later command has a smaller revision");
}

TEST_CASE("a list is the state at one revision") {
  Story story;
  story.set(0, 1, 5, "a").key = "a";
  story.set(2, 3, 6, "b").key = "b";
  story.list(4, 5, {{"a", "a", 5}, {"b", "b", 6}});
  story.set(6, 20, 7, "a2").key = "a";
  story.set(21, 30, 8, "b2").key = "b";
  CHECK(said(check_revisions(story.history)).empty());
  // b is there as of 8, a as of 5: 7 lies between.
  Story torn = story;
  torn.list(6, 40, {{"a", "a", 5}, {"b", "b2", 8}});
  wrong(torn, "a list is the state at no revision");
  Story missing = story;
  missing.list(40, 41, {{"a", "a2", 7}});
  wrong(missing, "a list is the state at no revision");
  Story old = story;
  old.list(40, 41, {{"a", "a2", 7}, {"b", "b", 6}});
  wrong(old, "an old value was read");
  // A removal of the source between explains what is missing, at any time until the next set.
  Operation& removal = story.add(Kind::remove_source, 31, 35);
  removal.revision = 9;
  story.list(36, 37, {});
  story.set(50, 60, 12, "b3").key = "b";
  story.list(51, 70, {});
  CHECK(said(check_revisions(story.history)).empty());
  story.list(80, 81, {});
  wrong(story, "a list is the state at no revision");
}

TEST_CASE("a condition holds where the answer is ok, and does not where it is conflict") {
  Story story;
  story.set(0, 1, 5, "a").if_revision = 0;
  story.set(2, 3, 6, "b").if_revision = 5;
  Operation& refused = story.set(4, 5, 0, "c");
  refused.if_revision = 5;
  refused.outcome = Outcome::conflict;
  CHECK(said(check_revisions(story.history)).empty());
  Story taken = story;
  taken.set(6, 7, 9, "d").if_revision = 5;
  wrong(taken, "a condition did not hold and was taken");
  Story created = story;
  created.set(6, 7, 9, "d").if_revision = 0;
  wrong(created, "a condition did not hold and was taken");
  Operation& wrongly = story.set(6, 7, 0, "d");
  wrongly.if_revision = 6;
  wrongly.outcome = Outcome::conflict;
  wrong(story, "a condition held and was refused");
}

TEST_CASE("a search that takes too long is undecided, which is not good") {
  Story story;
  for (int i = 0; i < 24; ++i)
    story.set(0, 100, static_cast<std::uint64_t>(i + 1), std::to_string(i));
  for (int i = 0; i < 24; ++i)
    story.get(0, 100, static_cast<std::uint64_t>(i + 1), std::to_string(i));
  story.get(200, 201, 99, "never");
  const Verdict verdict = check_by_search(story.history, {.steps_max = 1'000});
  CHECK(verdict.undecided == 1);
  CHECK_FALSE(verdict.good());
  CHECK(check_by_search(story.history, {.operations_max = 1}).good());
}

// A register behind clients whose calls take effect at a moment between begin and end. `faulty`: a
// read now and then answers with the value before the last.
History random_history(std::uint64_t seed, bool faulty, bool& planted) {
  std::mt19937_64 random(seed);
  History history;
  std::int64_t now = 0;
  std::uint64_t revision = 1;
  struct Past {
    std::string value;
    std::uint64_t revision;
    std::int64_t begin_us;
    std::int64_t known_us;  // when its writer had been answered
  };
  std::deque<Past> states = {{"", 0, 0, 0}};
  planted = false;
  for (int i = 0; i < 120; ++i) {
    now += 10;
    Operation operation;
    operation.client = static_cast<std::uint32_t>(random() % 5);
    operation.source = "s";
    operation.key = "k";
    operation.begin_us = now - static_cast<std::int64_t>(random() % 35);
    operation.end_us = now + static_cast<std::int64_t>(random() % 35);
    operation.outcome = Outcome::ok;
    if (random() % 3 == 0) {
      operation.kind = random() % 5 == 0 ? Kind::remove : Kind::set;
      operation.revision = ++revision;
      if (operation.kind == Kind::set) operation.value = "v" + std::to_string(i);
      states.push_back({operation.value, operation.kind == Kind::set ? revision : 0,
                        operation.begin_us, operation.end_us});
      if (random() % 10 == 0) {
        operation.outcome = Outcome::unknown;
        operation.revision = 0;
        states.back().known_us = now + 1'000'000'000;
      }
    } else {
      operation.kind = Kind::get;
      const Past* read = &states.back();
      // Wrong beyond doubt, without a look at revisions: the last write was answered before this
      // read began, and had begun after the one before was answered.
      const Past& last = states.back();
      const Past* before = states.size() > 6 ? &states[states.size() - 2] : nullptr;
      if (faulty && !planted && before != nullptr && last.known_us < operation.begin_us &&
          before->known_us < last.begin_us && last.revision != 0 && before->revision != 0) {
        read = before;
        planted = true;
      }
      operation.found = read->revision != 0;
      operation.revision = read->revision;
      operation.value = read->value;
    }
    history.push_back(operation);
  }
  return history;
}

TEST_CASE("random histories of a linearizable register are right by both checkers") {
  for (std::uint64_t seed = 0; seed < 500; ++seed) {
    bool planted = false;
    const History history = random_history(seed, false, planted);
    CAPTURE(seed);
    REQUIRE(said(check_revisions(history)).empty());
    const Verdict searched = check_by_search(history);
    REQUIRE(said(searched).empty());
    REQUIRE(searched.undecided == 0);
  }
}

TEST_CASE("one stale read in a random history is found by both checkers") {
  int found = 0;
  for (std::uint64_t seed = 0; seed < 500; ++seed) {
    bool planted = false;
    const History history = random_history(seed, true, planted);
    if (!planted) continue;
    CAPTURE(seed);
    REQUIRE_FALSE(check_revisions(history).violations.empty());
    REQUIRE_FALSE(check_by_search(history).violations.empty());
    ++found;
  }
  CHECK(found > 100);
}

TEST_CASE("a file of a history is read as it was written; a wrong line is named") {
  bool planted = false;
  History history = random_history(7, false, planted);
  Story story;
  story.set(0, 1, 5, "a").if_revision = 0;
  story.list(4, 5, {{"a", "a", 5}, {"b", "b", 6}}).stale = true;
  history.insert(history.end(), story.history.begin(), story.history.end());
  std::stringstream file;
  for (const Operation& operation : history) write_operation(file, operation);
  const auto read = read_history(file, "h");
  REQUIRE(read);
  REQUIRE(read->size() == history.size());
  for (std::size_t i = 0; i < history.size(); ++i) {
    std::stringstream left, right;
    write_operation(left, history[i]);
    write_operation(right, (*read)[i]);
    CHECK(left.str() == right.str());
  }
  const auto fault = [](const std::string& text) {
    std::stringstream in(text);
    const auto parsed = read_history(in, "h");
    return parsed ? "" : parsed.error().text;
  };
  std::stringstream one;
  write_operation(one, story.history[0]);
  CHECK(fault(one.str() + "nonsense\n").find("h:2: ") == 0);
  CHECK(fault(R"({"op":"put","outcome":"ok"})").find("h:1: the field \"op\"") == 0);
  CHECK(fault(R"({"op":"set","outcome":"ok"})").find("client") != std::string::npos);
}

}  // namespace iris::history
