#include "src/base/log.h"

#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <nlohmann/json.hpp>

#include "src/base/hex.h"

namespace iris {
namespace {

std::atomic<LogLevel> level_min{LogLevel::info};

constexpr std::array<std::pair<std::string_view, LogLevel>, 4> level_names = {
    {{"debug", LogLevel::debug},
     {"info", LogLevel::info},
     {"warn", LogLevel::warn},
     {"error", LogLevel::error}}};

std::string_view level_name(LogLevel level) {
  for (const auto& [name, known] : level_names) {
    if (known == level) return name;
  }
  return "error";
}

// 2024-01-31T12:34:56.789Z
std::string now_text() {
  const auto now = std::chrono::system_clock::now();
  const std::time_t seconds = std::chrono::system_clock::to_time_t(now);
  const auto since = std::chrono::floor<std::chrono::milliseconds>(now).time_since_epoch().count();
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  std::array<char, 64> text{};
  const std::size_t length = std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%S", &parts);
  std::snprintf(text.data() + length, text.size() - length, ".%03dZ",
                static_cast<int>(since % 1000));
  return text.data();
}

}  // namespace

void set_log_level(LogLevel level) { level_min.store(level, std::memory_order_relaxed); }

bool parse_log_level(std::string_view text, LogLevel& level) {
  for (const auto& [name, known] : level_names) {
    if (name != text) continue;
    level = known;
    return true;
  }
  return false;
}

void log(LogLevel level, std::string_view event, std::initializer_list<LogField> fields) {
  if (level < level_min.load(std::memory_order_relaxed)) return;
  nlohmann::ordered_json line;
  line["time"] = now_text();
  line["level"] = level_name(level);
  line["event"] = event;
  for (const auto& [name, value] : fields) {
    std::visit([&, &key = name](const auto& known) { line[std::string(key)] = known; }, value);
  }
  // Names of sources and paths may be any bytes: what is not UTF-8 is replaced, never thrown at.
  std::string text = line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  text.push_back('\n');
  // One write, so that lines of several threads do not mix. Where stderr is gone there is nobody to
  // tell.
  while (::write(STDERR_FILENO, text.data(), text.size()) < 0 && errno == EINTR) {
  }
}

std::string hex_id(std::uint64_t id) { return hex(id, 16); }

}  // namespace iris
