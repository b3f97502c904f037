// The log of src/base/log.h inside the simulator: lines become part of the trace. Linked instead of
// src/base/log.cc, so that the nodes of a campaign print nothing on stderr.
#include "src/base/log.h"

#include <cstdio>

#include "tests/sim/report.h"

namespace iris {
namespace {

std::string to_text(const LogField& field) {
  const auto& value = field.second;
  std::string text = " " + std::string(field.first) + "=";
  if (const auto* string = std::get_if<std::string>(&value)) return text + *string;
  if (const auto* number = std::get_if<std::uint64_t>(&value))
    return text + std::to_string(*number);
  if (const auto* number = std::get_if<std::int64_t>(&value)) return text + std::to_string(*number);
  if (const auto* flag = std::get_if<bool>(&value)) return text + (*flag ? "true" : "false");
  return text + std::to_string(std::get<double>(value));
}

}  // namespace

void set_log_level(LogLevel) {}
bool parse_log_level(std::string_view, LogLevel&) { return false; }

void log(LogLevel, std::string_view event, std::initializer_list<LogField> fields) {
  if (!sim::tracing()) return;
  std::string line = "    log: " + std::string(event);
  for (const LogField& field : fields) line += to_text(field);
  sim::trace_line(-1, line);
}

std::string hex_id(std::uint64_t id) { return std::to_string(id); }

}  // namespace iris
