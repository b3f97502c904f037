// The file of -config: flags as lines.
#include <algorithm>
#include <cerrno>
#include <cstring>

#include "raft/check.h"
#include "src/base/flags.h"
#include "src/base/read_file.h"

namespace iris {
namespace {

constexpr std::string_view blanks = " \t\r";

unexpected<Error> bad(std::string text) { return fail(Errc::invalid_argument, std::move(text)); }

std::string_view trimmed(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(blanks);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(blanks) + 1 - begin);
}

// A # amid a word, as in a path, begins none.
std::string_view without_comment(std::string_view line) {
  for (std::size_t at = 0; at < line.size(); ++at) {
    if (line[at] == '#' && (at == 0 || blanks.find(line[at - 1]) != std::string_view::npos)) {
      return line.substr(0, at);
    }
  }
  return line;
}

}  // namespace

void Flags::config_file(const std::string& name, std::string help) {
  CHECK(config_name_.empty());
  config_name_ = name;
  text(name, &config_path_, "FILE", std::move(help));
  command_line_only(name);
}

void Flags::command_line_only(std::string_view name) {
  Flag* flag = find(name);
  CHECK(flag != nullptr);
  flag->command_line_only = true;
}

Status Flags::take_file() {
  if (config_name_.empty() || !given(config_name_)) return Unit{};
  if (config_path_.empty()) return bad("-" + config_name_ + " is empty: it must name a file");
  const auto file = read_file(config_path_, config_bytes_max);
  if (!file) {
    return bad("cannot read " + config_path_ + " (-" + config_name_ + "): " + std::strerror(errno));
  }
  std::string_view rest = *file;
  for (std::size_t number = 1; !rest.empty(); ++number) {
    const std::size_t end = std::min(rest.find('\n'), rest.size());
    const std::string place = config_path_ + ":" + std::to_string(number);
    if (Status taken = take_line(rest.substr(0, end), place); !taken) return taken;
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return Unit{};
}

Status Flags::take_line(std::string_view line, const std::string& place) {
  line = trimmed(without_comment(line));
  if (line.empty()) return Unit{};
  const std::size_t name_end = std::min(line.find_first_of(blanks), line.size());
  const std::string name(line.substr(0, name_end));
  std::string_view value = trimmed(line.substr(name_end));
  if (name.starts_with('-')) {
    return bad(place + ": in a file a flag stands without its dash, not as \"" + name + "\"");
  }
  Flag* flag = find(name);
  if (flag == nullptr) return bad(place + ": " + unknown(name).error().text);
  if (flag->command_line_only) {
    return bad(place + ": -" + flag->name + " is for the command line only");
  }
  if (value.empty() && !flag->placeholder.empty()) {
    return bad(place + ": " + flag->name + " needs a value: " + flag->name + " " +
               flag->placeholder);
  }
  if (value.size() > 1 && value.front() == '"' && value.back() == '"') {
    return bad(place + ": a value stands without quotes: " + flag->name + " " +
               std::string(value.substr(1, value.size() - 2)));
  }
  if (flag->given || flag->in_environment) return Unit{};
  if (value.empty()) value = "true";
  const Status done = flag->set(value);
  if (done) return Unit{};
  return bad(place + ": bad value \"" + std::string(value) + "\" for " + flag->name +
             ": it takes " + done.error().text);
}

}  // namespace iris
