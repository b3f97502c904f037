// The log's lines as a reader of stderr sees them (src/base/log.h).
#include "src/base/log.h"

#include <fcntl.h>
#include <unistd.h>

#include <nlohmann/json.hpp>
#include <regex>
#include <sstream>
#include <thread>
#include <vector>

#include "tests/catch.h"

namespace iris {
namespace {

// The lines that `run` writes to stderr. A pipe holds 64 KiB, which is enough here.
template <class Run>
std::vector<std::string> lines_of(Run run) {
  int ends[2];
  REQUIRE(::pipe2(ends, O_NONBLOCK) == 0);
  const int saved = ::dup(STDERR_FILENO);
  ::dup2(ends[1], STDERR_FILENO);
  run();
  ::dup2(saved, STDERR_FILENO);
  ::close(saved);
  ::close(ends[1]);
  std::string text;
  char piece[4096];
  for (ssize_t got = ::read(ends[0], piece, sizeof piece); got > 0;
       got = ::read(ends[0], piece, sizeof piece)) {
    text.append(piece, static_cast<std::size_t>(got));
  }
  ::close(ends[0]);
  std::vector<std::string> lines;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = text.find('\n', begin);
    REQUIRE(end != std::string::npos);  // every line is ended
    lines.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return lines;
}

TEST_CASE("a line is one JSON object: time, level, event, then the caller's fields") {
  const auto lines = lines_of([] {
    log(LogLevel::warn, "something happened",
        {{"text", std::string("a \"b\"\n\x01")},
         {"count", std::uint64_t{UINT64_MAX}},
         {"delta", std::int64_t{-1}},
         {"yes", true},
         {"share", 0.5}});
  });
  REQUIRE(lines.size() == 1);
  const auto line = nlohmann::ordered_json::parse(lines[0]);
  std::vector<std::string> names;
  for (const auto& [name, value] : line.items()) names.push_back(name);
  REQUIRE(names == std::vector<std::string>{"time", "level", "event", "text", "count", "delta",
                                            "yes", "share"});
  REQUIRE(std::regex_match(line["time"].get<std::string>(),
                           std::regex(R"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z)")));
  REQUIRE(line["level"] == "warn");
  REQUIRE(line["event"] == "something happened");
  REQUIRE(line["text"] == "a \"b\"\n\x01");
  REQUIRE(line["count"] == UINT64_MAX);
  REQUIRE(line["delta"] == -1);
  REQUIRE(line["yes"] == true);
  REQUIRE(line["share"] == 0.5);
}

TEST_CASE("bytes that are not UTF-8 are replaced, not thrown at") {
  const auto lines = lines_of([] { log(LogLevel::error, "odd", {{"name", std::string("\xff")}}); });
  REQUIRE(lines.size() == 1);
  REQUIRE(nlohmann::json::parse(lines[0])["name"] == "\xef\xbf\xbd");
}

TEST_CASE("lines below the level are not written") {
  const auto lines = lines_of([] {
    log(LogLevel::debug, "0");
    log(LogLevel::info, "1");
    set_log_level(LogLevel::error);
    log(LogLevel::warn, "2");
    log(LogLevel::error, "3");
    set_log_level(LogLevel::debug);
    log(LogLevel::debug, "4");
    set_log_level(LogLevel::info);
  });
  REQUIRE(lines.size() == 3);
  REQUIRE(nlohmann::json::parse(lines[0])["event"] == "1");
  REQUIRE(nlohmann::json::parse(lines[1])["event"] == "3");
  REQUIRE(nlohmann::json::parse(lines[2])["event"] == "4");
}

TEST_CASE("lines of several threads do not mix") {
  const auto lines = lines_of([] {
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([] {
        for (int line = 0; line < 50; ++line) {
          log(LogLevel::info, "from a thread", {{"pad", std::string(100, 'x')}});
        }
      });
    }
    for (auto& thread : threads) thread.join();
  });
  REQUIRE(lines.size() == 200);
  for (const auto& line : lines) REQUIRE(nlohmann::json::accept(line));
}

TEST_CASE("left_out is written where there is something to tell") {
  const auto lines = lines_of([] {
    log(LogLevel::info, "a", {{"left_out", std::uint64_t{0}}, {"other", std::uint64_t{0}}});
    log(LogLevel::info, "b", {{"left_out", std::uint64_t{2}}});
  });
  REQUIRE(lines.size() == 2);
  REQUIRE_FALSE(nlohmann::json::parse(lines[0]).contains("left_out"));
  REQUIRE(nlohmann::json::parse(lines[0])["other"] == 0);
  REQUIRE(nlohmann::json::parse(lines[1])["left_out"] == 2);
}

// Reads what is in a pipe.
std::string drain(int end) {
  std::string text;
  char piece[4096];
  for (ssize_t got = ::read(end, piece, sizeof piece); got > 0;
       got = ::read(end, piece, sizeof piece)) {
    text.append(piece, static_cast<std::size_t>(got));
  }
  return text;
}

TEST_CASE("a stderr that nobody reads holds up nobody, and the lines lost are counted") {
  constexpr std::uint64_t said = 20'000;
  int ends[2];
  REQUIRE(::pipe2(ends, 0) == 0);  // the writing end waits, as that of a shell does
  REQUIRE(::fcntl(ends[0], F_SETFL, O_NONBLOCK) == 0);
  const int saved = ::dup(STDERR_FILENO);
  ::dup2(ends[1], STDERR_FILENO);
  for (std::uint64_t line = 0; line < said; ++line) {
    log(LogLevel::info, "n", {{"number", line}, {"pad", std::string(line % 7 * 1'000, 'x')}});
  }
  std::string text;
  for (std::string piece = drain(ends[0]); !piece.empty(); piece = drain(ends[0])) {
    text += piece;
    flush_log();
  }
  log(LogLevel::info, "after", {});
  text += drain(ends[0]);
  ::dup2(saved, STDERR_FILENO);
  ::close(saved);
  for (const int end : ends) ::close(end);

  REQUIRE(text.size() < log_backlog_bytes + (200u << 10));
  std::istringstream lines(text);
  std::uint64_t next = 0;
  std::vector<std::string> rest;
  for (std::string line; std::getline(lines, line);) {
    const auto parsed = nlohmann::json::parse(line);  // whole
    if (parsed["event"] != "n") {
      rest.push_back(parsed["event"]);
      if (parsed.contains("lost")) REQUIRE(parsed["lost"] == said - next);
    } else {
      REQUIRE(parsed["number"] == next++);
    }
  }
  REQUIRE(next > 10);
  REQUIRE(rest ==
          std::vector<std::string>{"lines of the log were lost: stderr was not read", "after"});
}

TEST_CASE("levels are known by their names only") {
  LogLevel level = LogLevel::error;
  REQUIRE(parse_log_level("debug", level));
  REQUIRE(level == LogLevel::debug);
  REQUIRE(parse_log_level("info", level));
  REQUIRE(level == LogLevel::info);
  REQUIRE(parse_log_level("warn", level));
  REQUIRE(level == LogLevel::warn);
  REQUIRE_FALSE(parse_log_level("WARN", level));
  REQUIRE_FALSE(parse_log_level("", level));
  REQUIRE(level == LogLevel::warn);
}

TEST_CASE("ids are 16 lower-case hex digits") {
  REQUIRE(hex_id(0) == "0000000000000000");
  REQUIRE(hex_id(0xdeadbeef12345678) == "deadbeef12345678");
  REQUIRE(hex_id(UINT64_MAX) == "ffffffffffffffff");
}

}  // namespace
}  // namespace iris
