// The log: one JSON object a line on stderr. Never a value of a user, never a secret; names of
// sources and keys only at debug. Any thread.
// Fields: "time" (RFC 3339, UTC, ms), "level", "event" (a short sentence, the same each time), then
// the caller's; a "left_out" (lines that a limiter kept back) of 0 is not written.
//
// Never waits for the reader of stderr: lines that do not fit are kept, up to log_backlog_bytes,
// and beyond that they are lost, and a line says how many were. Where stderr is the journal's
// (JOURNAL_STREAM), each line begins with its priority, <3> for an error to <7> for debug.
#pragma once

#include <cstddef>
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

inline constexpr std::size_t log_backlog_bytes = 256u << 10;

void set_log_level(LogLevel level);
[[nodiscard]] bool parse_log_level(std::string_view text, LogLevel& level);
void log(LogLevel level, std::string_view event, std::initializer_list<LogField> fields = {});
// Writes what is kept, as far as it fits. For now and then, as log() does it only when it is
// called.
void flush_log();
// 16 lower-case hex digits, as ids are written everywhere.
[[nodiscard]] std::string hex_id(std::uint64_t id);

}  // namespace iris
