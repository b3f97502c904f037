#include "src/base/log.h"

#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <mutex>
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

// systemd names the file that a service's stderr is, "DEVICE:INODE"; another program on the way has
// another stderr.
bool is_journal() {
  const char* named = std::getenv("JOURNAL_STREAM");
  struct stat file {};
  if (named == nullptr || ::fstat(STDERR_FILENO, &file) != 0) return false;
  return std::string_view(named) == std::to_string(file.st_dev) + ":" + std::to_string(file.st_ino);
}

std::string_view priority(LogLevel level) {
  static const bool journal = is_journal();
  if (!journal) return "";
  switch (level) {
    case LogLevel::debug:
      return "<7>";
    case LogLevel::info:
      return "<6>";
    case LogLevel::warn:
      return "<4>";
    case LogLevel::error:
      break;
  }
  return "<3>";
}

std::string line_of(LogLevel level, std::string_view event,
                    std::initializer_list<LogField> fields) {
  nlohmann::ordered_json line;
  line["time"] = now_text();
  line["level"] = level_name(level);
  line["event"] = event;
  for (const auto& [name, value] : fields) {
    const auto* count = std::get_if<std::uint64_t>(&value);
    if (name == "left_out" && count != nullptr && *count == 0) continue;
    std::visit([&, &key = name](const auto& known) { line[std::string(key)] = known; }, value);
  }
  // Names of sources and paths may be any bytes: what is not UTF-8 is replaced, never thrown at.
  std::string text(priority(level));
  text += line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  text.push_back('\n');
  return text;
}

// What waits for a reader of stderr. One for the process; any thread.
class Backlog {
 public:
  void add(std::string line) {
    const std::lock_guard lock(mutex_);
    push(std::move(line));
    write_on();
  }
  void flush() {
    const std::lock_guard lock(mutex_);
    write_on();
  }

 private:
  void push(std::string line) {
    if (lost_ > 0 || bytes_.size() - written_ + line.size() > log_backlog_bytes) {
      ++lost_;
    } else {
      bytes_.erase(0, std::exchange(written_, 0));
      bytes_ += line;
    }
  }

  void write_on() {
    write_some();
    if (lost_ == 0 || written_ < bytes_.size()) return;
    bytes_ = line_of(LogLevel::warn, "lines of the log were lost: stderr was not read",
                     {{"lost", lost_}});
    written_ = 0;
    lost_ = 0;
    write_some();
  }

  void write_some() {
    while (written_ < bytes_.size() && has_room()) {
      const std::size_t piece = std::min<std::size_t>(bytes_.size() - written_, PIPE_BUF);
      const ssize_t wrote = ::write(STDERR_FILENO, bytes_.data() + written_, piece);
      if (wrote < 0 && errno == EINTR) continue;
      if (wrote < 0 && errno == EAGAIN) return;
      // Where stderr is gone there is nobody to tell.
      written_ += wrote < 0 ? piece : static_cast<std::size_t>(wrote);
    }
    if (written_ < bytes_.size()) return;
    bytes_.clear();
    written_ = 0;
  }

  // A pipe that can be written to takes PIPE_BUF bytes without waiting.
  static bool has_room() {
    pollfd place{STDERR_FILENO, POLLOUT, 0};
    return ::poll(&place, 1, 0) != 0;
  }

  std::mutex mutex_;
  std::string bytes_;  // whole lines
  std::size_t written_ = 0;
  std::uint64_t lost_ = 0;
};

Backlog& backlog() {
  static Backlog* const one = new Backlog;  // threads may log until the very end
  return *one;
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
  backlog().add(line_of(level, event, fields));
}

void flush_log() { backlog().flush(); }

std::string hex_id(std::uint64_t id) { return hex(id, 16); }

}  // namespace iris
