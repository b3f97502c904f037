// The log: one JSON object a line on stderr. Never a value of a user, never a secret; names of
// sources and keys only at debug. Any thread; a line is one write.
// Fields: "time" (RFC 3339, UTC, ms), "level", "event" (a short sentence, the same each time), then
// the caller's.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

namespace iris {

enum class LogLevel { debug, info, warn, error };

using LogField = std::pair<std::string_view,
                           std::variant<std::string, std::uint64_t, std::int64_t, bool, double>>;

void set_log_level(LogLevel level);
[[nodiscard]] bool parse_log_level(std::string_view text, LogLevel& level);
void log(LogLevel level, std::string_view event, std::initializer_list<LogField> fields = {});
// 16 lower-case hex digits, as ids are written everywhere.
[[nodiscard]] std::string hex_id(std::uint64_t id);

}  // namespace iris
