// Operation: one call of one client in a history, as its client saw it. What the file of a history
// holds (README.md), and what the checkers judge.
// Any thread; plain values.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace iris::history {

enum class Kind { set, remove, remove_source, get, list };

enum class Outcome {
  ok,
  conflict,  // if_revision did not hold: certainly not done
  not_done,  // certainly not done
  unknown,   // it may have been done, or be done yet
};

struct Row {
  std::string key;
  std::string value;
  std::uint64_t revision = 0;
};

struct Operation {
  std::uint32_t client = 0;
  Kind kind = Kind::get;
  std::string source;
  std::string key;    // not of remove_source and list
  std::string value;  // that was stored, or read. No two sets of a history store the same
  std::optional<std::uint64_t> if_revision;
  bool stale = false;          // a read with consistency STALE
  bool found = false;          // of get
  std::uint64_t revision = 0;  // of the command; of get, that of the value
  std::vector<Row> rows;       // of list
  std::int64_t begin_us = 0;   // of one clock, steady
  std::int64_t end_us = 0;
  Outcome outcome = Outcome::unknown;

  [[nodiscard]] bool is_write() const { return kind != Kind::get && kind != Kind::list; }
  [[nodiscard]] bool is_removal() const {
    return kind == Kind::remove || kind == Kind::remove_source;
  }
};
using History = std::vector<Operation>;

// What a checker found wrong: one sentence each, at most `violations_max` of them.
inline constexpr std::size_t violations_max = 100;
struct Verdict {
  std::vector<std::string> violations;
  std::size_t checked = 0;    // operations that were judged
  std::size_t undecided = 0;  // questions that found no answer in their time: a failure too

  [[nodiscard]] bool good() const { return violations.empty() && undecided == 0; }
};

}  // namespace iris::history
