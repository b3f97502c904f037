// ScriptLine: one command line of a script, parsed: words and key=value options.
// One thread; plain values. A word or option that the command does not read ends the run, because a
// script with a misspelt one would test nothing.
#pragma once

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "raft/check.h"
#include "tests/raft/cluster.h"
#include "tests/raft/trace.h"

namespace iris::raft::test {

[[nodiscard]] inline std::vector<std::string> split(const std::string& text, char at) {
  std::vector<std::string> parts;
  std::istringstream stream(text);
  for (std::string part; std::getline(stream, part, at);) parts.push_back(part);
  return parts;
}

[[nodiscard]] inline std::uint64_t number(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  CHECK(error == std::errc{} && end == text.data() + text.size());  // a mistake in the script
  return value;
}

[[nodiscard]] inline EntryId entry_id(const std::string& text) {
  const auto parts = split(text, '/');
  CHECK(parts.size() == 2);
  return {Term{number(parts[0])}, Index{number(parts[1])}};
}

// The destructor CHECKs that all words and options were read.
class ScriptLine {
 public:
  explicit ScriptLine(const std::string& line) {
    for (const std::string& word : split(line, ' ')) {
      const auto equals = word.find('=');
      if (equals == std::string::npos) {
        if (!word.empty()) words_.push_back(word);
      } else {
        options_[word.substr(0, equals)] = word.substr(equals + 1);
      }
    }
  }
  ~ScriptLine() {
    CHECK(next_ == words_.size());
    CHECK(options_.empty());
  }
  ScriptLine(const ScriptLine&) = delete;
  ScriptLine& operator=(const ScriptLine&) = delete;

  std::string word() {
    CHECK(next_ < words_.size());
    return words_[next_++];
  }
  std::uint64_t node() { return number(word()); }
  std::optional<std::string> optional_word() {
    return next_ < words_.size() ? std::optional(word()) : std::nullopt;
  }
  bool flag(const std::string& name) {
    const auto found =
        std::find(words_.begin() + static_cast<std::ptrdiff_t>(next_), words_.end(), name);
    if (found == words_.end()) return false;
    words_.erase(found);
    return true;
  }
  std::optional<std::string> option(const std::string& name) {
    const auto found = options_.find(name);
    if (found == options_.end()) return std::nullopt;
    std::string value = std::move(found->second);
    options_.erase(found);
    return value;
  }
  std::uint64_t option_or(const std::string& name, std::uint64_t otherwise) {
    const auto value = option(name);
    return value ? number(*value) : otherwise;
  }
  EntryId entry_or(const std::string& name, EntryId otherwise) {
    const auto value = option(name);
    return value ? entry_id(*value) : otherwise;
  }
  std::vector<std::uint64_t> list(const std::string& name) {
    std::vector<std::uint64_t> values;
    for (const std::string& part : split(option(name).value_or(""), ','))
      values.push_back(number(part));
    return values;
  }

 private:
  std::vector<std::string> words_;
  std::size_t next_ = 0;
  std::map<std::string, std::string> options_;
};

// The messages that a command selects.
struct Filter {
  explicit Filter(ScriptLine& line)
      : from(line.option_or("from", 0)),
        to(line.option_or("to", 0)),
        of_kind(line.option("kind").value_or("")) {}
  [[nodiscard]] bool takes(const Message& message) const {
    return (from == 0 || message.from == NodeId{from}) && (to == 0 || message.to == NodeId{to}) &&
           (of_kind.empty() || kind(message.body) == of_kind);
  }
  std::uint64_t from;
  std::uint64_t to;
  std::string of_kind;
};

// Links that carry nothing: "3" all of a node's, "1-2" both ways, "1>2" one way.
class Cuts {
 public:
  explicit Cuts(ScriptLine& line) {
    for (const std::string& part : split(line.option("cut").value_or(""), ',')) {
      const auto at = part.find_first_of("->");
      if (at == std::string::npos) {
        isolated_.insert(number(part));
        continue;
      }
      const std::uint64_t from = number(part.substr(0, at));
      const std::uint64_t to = number(part.substr(at + 1));
      links_.insert({from, to});
      if (part[at] == '-') links_.insert({to, from});
    }
  }
  [[nodiscard]] bool stop(const Message& message) const {
    const std::uint64_t from = message.from.value;
    const std::uint64_t to = message.to.value;
    return isolated_.contains(from) || isolated_.contains(to) || links_.contains({from, to});
  }

 private:
  std::set<std::uint64_t> isolated_;
  std::set<std::pair<std::uint64_t, std::uint64_t>> links_;
};

}  // namespace iris::raft::test
