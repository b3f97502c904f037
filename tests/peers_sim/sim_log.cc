// The log of src/base/log.h inside the simulation: nothing, or with IRIS_TRACE=1 one line each on
// stderr. Linked instead of src/base/log.cc.
#include <cstdio>
#include <cstdlib>

#include "src/base/log.h"

namespace iris {

void set_log_level(LogLevel) {}
bool parse_log_level(std::string_view, LogLevel&) { return false; }
void flush_log() {}

void log(LogLevel, std::string_view event, std::initializer_list<LogField> fields) {
  static const bool tracing = std::getenv("IRIS_TRACE") != nullptr;
  if (!tracing) return;
  std::string line(event);
  for (const LogField& field : fields) {
    if (const auto* text = std::get_if<std::string>(&field.second)) {
      line += " " + std::string(field.first) + "=" + *text;
    }
  }
  std::fprintf(stderr, "%s\n", line.c_str());
}

std::string hex_id(std::uint64_t id) { return std::to_string(id); }

}  // namespace iris
