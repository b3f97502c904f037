#include "src/base/flags.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <limits>
#include <optional>
#include <utility>

namespace iris {
namespace {

constexpr std::size_t help_columns_max = 100;
constexpr std::size_t help_indent = 8;

unexpected<Error> bad(std::string text) { return fail(Errc::invalid_argument, std::move(text)); }

std::optional<std::uint64_t> parse_digits(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || text.empty()) return std::nullopt;
  return value;
}

Result<std::uint64_t> parse_number(std::string_view text, std::uint64_t min, std::uint64_t max) {
  const auto value = parse_digits(text);
  if (!value || *value < min || *value > max) {
    return bad("a number from " + std::to_string(min) + " to " + std::to_string(max));
  }
  return *value;
}

struct Unit64 {
  std::string_view suffix;
  std::uint64_t factor;
};

constexpr Unit64 byte_units[] = {{"KiB", 1ull << 10}, {"MiB", 1ull << 20}, {"GiB", 1ull << 30}};

std::string bytes_text(std::uint64_t value) {
  for (auto unit = std::rbegin(byte_units); unit != std::rend(byte_units); ++unit) {
    if (value >= unit->factor && value % unit->factor == 0) {
      return std::to_string(value / unit->factor) + std::string(unit->suffix);
    }
  }
  return std::to_string(value);
}

std::optional<std::uint64_t> parse_bytes(std::string_view text) {
  std::uint64_t factor = 1;
  for (const auto& unit : byte_units) {
    if (!text.ends_with(unit.suffix)) continue;
    factor = unit.factor;
    text.remove_suffix(unit.suffix.size());
    break;
  }
  const auto value = parse_digits(text);
  if (!value || *value > std::numeric_limits<std::uint64_t>::max() / factor) return std::nullopt;
  return *value * factor;
}

constexpr Unit64 time_units[] = {{"h", 3'600'000}, {"m", 60'000}, {"s", 1'000}, {"ms", 1}};

std::string duration_text(std::chrono::milliseconds value) {
  auto rest = static_cast<std::uint64_t>(value.count());
  if (rest == 0) return "0s";
  std::string text;
  for (const auto& unit : time_units) {
    if (rest < unit.factor) continue;
    text += std::to_string(rest / unit.factor) + std::string(unit.suffix);
    rest %= unit.factor;
  }
  return text;
}

// One or more of NUMBER UNIT, each unit at most once, the greatest first.
std::optional<std::chrono::milliseconds> parse_duration(std::string_view text) {
  constexpr std::uint64_t number_max = 1ull << 40;  // so that no sum of four can overflow
  if (text == "0") return std::chrono::milliseconds(0);
  std::uint64_t sum = 0;
  const Unit64* unit = std::begin(time_units);
  if (text.empty()) return std::nullopt;
  while (!text.empty()) {
    const std::size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
    const std::size_t unit_end = std::min(text.find_first_of("0123456789", digits), text.size());
    const auto value = parse_digits(text.substr(0, digits));
    const std::string_view suffix = text.substr(digits, unit_end - digits);
    unit = std::find_if(unit, std::end(time_units),
                        [&](const Unit64& known) { return known.suffix == suffix; });
    if (!value || *value > number_max || unit == std::end(time_units)) return std::nullopt;
    sum += *value * unit->factor;
    ++unit;
    text.remove_prefix(unit_end);
  }
  return std::chrono::milliseconds(sum);
}

std::optional<bool> parse_boolean(std::string_view text) {  // what Go's strconv.ParseBool takes
  for (const std::string_view word : {"1", "t", "T", "true", "TRUE", "True"}) {
    if (text == word) return true;
  }
  for (const std::string_view word : {"0", "f", "F", "false", "FALSE", "False"}) {
    if (text == word) return false;
  }
  return std::nullopt;
}

// Insertions, deletions, replacements and swaps of neighbours that lead from one word to the other.
std::size_t distance(std::string_view left, std::string_view right) {
  std::vector<std::vector<std::size_t>> cost(left.size() + 1,
                                             std::vector<std::size_t>(right.size() + 1));
  for (std::size_t i = 0; i <= left.size(); ++i) cost[i][0] = i;
  for (std::size_t j = 0; j <= right.size(); ++j) cost[0][j] = j;
  for (std::size_t i = 1; i <= left.size(); ++i) {
    for (std::size_t j = 1; j <= right.size(); ++j) {
      const std::size_t replace = left[i - 1] == right[j - 1] ? 0 : 1;
      cost[i][j] = std::min({cost[i - 1][j] + 1, cost[i][j - 1] + 1, cost[i - 1][j - 1] + replace});
      if (i > 1 && j > 1 && left[i - 1] == right[j - 2] && left[i - 2] == right[j - 1]) {
        cost[i][j] = std::min(cost[i][j], cost[i - 2][j - 2] + 1);
      }
    }
  }
  return cost[left.size()][right.size()];
}

// `text` in lines of at most help_columns_max, each after help_indent spaces.
void append_wrapped(std::string& out, std::string_view text) {
  const std::size_t width = help_columns_max - help_indent;
  while (!text.empty()) {
    std::size_t cut = text.size();
    if (cut > width) {
      cut = text.rfind(' ', width);
      if (cut == std::string_view::npos || cut == 0) cut = std::min(text.find(' '), text.size());
    }
    out.append(help_indent, ' ').append(text.substr(0, cut)).append("\n");
    text.remove_prefix(std::min(cut + 1, text.size()));
  }
}

template <class Number>
auto into(Number* target, std::uint64_t min, std::uint64_t max) {
  return [target, min, max](std::string_view text) -> Status {
    const auto value = parse_number(text, min, max);
    if (!value) return bad(value.error().text);
    *target = static_cast<Number>(*value);
    return Unit{};
  };
}

}  // namespace

std::string nearest(std::string_view word, std::span<const std::string> candidates) {
  if (word.size() < 2) return {};  // every other letter would be near
  const std::size_t distance_max = word.size() <= 3 ? 1 : word.size() / 3;
  std::string best;
  std::size_t best_distance = distance_max + 1;
  for (const auto& candidate : candidates) {
    const std::size_t here = distance(word, candidate);
    if (here < best_distance) {
      best_distance = here;
      best = candidate;
    }
  }
  return best;
}

void Flags::section(std::string title) {
  Flag headline;
  headline.title = std::move(title);
  flags_.push_back(std::move(headline));
}

void Flags::custom(std::string name, std::string placeholder, std::string default_text,
                   std::string help, std::function<Status(std::string_view text)> set) {
  CHECK(!name.empty() && find(name) == nullptr);
  flags_.push_back({std::move(name), std::move(placeholder), std::move(default_text),
                    std::move(help), std::move(set)});
}

void Flags::text(std::string name, std::string* target, std::string placeholder, std::string help) {
  custom(std::move(name), std::move(placeholder), *target, std::move(help),
         [target](std::string_view text) -> Status {
           *target = text;
           return Unit{};
         });
}

void Flags::list(std::string name, std::vector<std::string>* target, std::string placeholder,
                 std::string help) {
  std::string defaults;
  for (const auto& item : *target) defaults += (defaults.empty() ? "" : ",") + item;
  custom(std::move(name), std::move(placeholder), std::move(defaults), std::move(help),
         [target, first = true](std::string_view text) mutable -> Status {
           if (first) target->clear();  // what is given replaces the default
           first = false;
           for (std::size_t begin = 0; begin <= text.size();) {
             const std::size_t end = std::min(text.find(',', begin), text.size());
             if (end == begin) return bad("a list like a,b,c without empty pieces");
             target->emplace_back(text.substr(begin, end - begin));
             begin = end + 1;
           }
           return Unit{};
         });
  flags_.back().empty_is_none = true;
}

void Flags::boolean(std::string name, bool* target, std::string help) {
  custom(std::move(name), "", *target ? "true" : "", std::move(help),
         [target](std::string_view text) -> Status {
           const auto value = parse_boolean(text);
           if (!value) return bad("true or false");
           *target = *value;
           return Unit{};
         });
}

void Flags::number(std::string name, std::uint32_t* target, std::uint32_t min, std::uint32_t max,
                   std::string placeholder, std::string help) {
  custom(std::move(name), std::move(placeholder), std::to_string(*target), std::move(help),
         into(target, min, max));
}

void Flags::number(std::string name, std::uint64_t* target, std::uint64_t min, std::uint64_t max,
                   std::string placeholder, std::string help) {
  custom(std::move(name), std::move(placeholder), std::to_string(*target), std::move(help),
         into(target, min, max));
}

void Flags::number(std::string name, std::optional<std::uint64_t>* target, std::uint64_t min,
                   std::uint64_t max, std::string placeholder, std::string help) {
  CHECK(!target->has_value());
  custom(std::move(name), std::move(placeholder), "", std::move(help),
         [target, min, max](std::string_view text) -> Status {
           const auto value = parse_number(text, min, max);
           if (!value) return bad(value.error().text);
           *target = *value;
           return Unit{};
         });
}

void Flags::bytes(std::string name, std::uint64_t* target, std::uint64_t min, std::uint64_t max,
                  std::string help) {
  custom(std::move(name), "BYTES", bytes_text(*target), std::move(help),
         [target, min, max](std::string_view text) -> Status {
           const auto value = parse_bytes(text);
           if (!value || *value < min || *value > max) {
             return bad("a number of bytes (4096, 64KiB, 4MiB, 1GiB) from " + bytes_text(min) +
                        " to " + bytes_text(max));
           }
           *target = *value;
           return Unit{};
         });
}

void Flags::duration(std::string name, std::chrono::milliseconds* target,
                     std::chrono::milliseconds min, std::chrono::milliseconds max,
                     std::string help) {
  custom(std::move(name), "TIME", duration_text(*target), std::move(help),
         [target, min, max](std::string_view text) -> Status {
           const auto value = parse_duration(text);
           if (!value || *value < min || *value > max) {
             return bad("a time (500ms, 30s, 10m, 1h30m) from " + duration_text(min) + " to " +
                        duration_text(max));
           }
           *target = *value;
           return Unit{};
         });
}

void Flags::ignored(std::string name) {
  custom(std::move(name), "TEXT", "", "", [](std::string_view) -> Status { return Unit{}; });
  flags_.back().shown = false;
}

void Flags::alias(std::string other, std::string_view name) {
  CHECK(find(other) == nullptr);
  const Flag* flag = find(name);
  CHECK(flag != nullptr);
  aliases_.push_back({std::move(other), static_cast<std::size_t>(flag - flags_.data())});
}

void Flags::variable(std::string_view name, std::string variable) {
  Flag* flag = find(name);
  CHECK(flag != nullptr && !variable.empty());
  flag->variable = std::move(variable);
}

const Flags::Flag* Flags::find(std::string_view name) const {
  for (const auto& flag : flags_) {
    if (!flag.name.empty() && flag.name == name) return &flag;
  }
  for (const auto& alias : aliases_) {
    if (alias.name == name) return &flags_[alias.flag];
  }
  return nullptr;
}

Flags::Flag* Flags::find(std::string_view name) {
  return const_cast<Flag*>(std::as_const(*this).find(name));
}

bool Flags::given(std::string_view name) const {
  const Flag* flag = find(name);
  CHECK(flag != nullptr);
  return flag->given;
}

bool Flags::in_environment(std::string_view name) const {
  const Flag* flag = find(name);
  CHECK(flag != nullptr);
  return flag->in_environment;
}

unexpected<Error> Flags::unknown(std::string_view name) const {
  std::vector<std::string> names{"h", "help"};
  for (const auto& flag : flags_) {
    if (!flag.name.empty() && flag.shown) names.push_back(flag.name);
  }
  const std::string near = nearest(name, names);
  return bad("unknown flag -" + std::string(name) +
             (near.empty() ? " (-h lists all flags" +
                                 (unknown_hint_.empty() ? "" : "; " + unknown_hint_) + ")"
                           : "; did you mean -" + near + "?"));
}

// Takes the flag at arguments[next], and its value where that is the next argument.
Status Flags::take(std::span<const std::string> arguments, std::size_t& next) {
  std::string_view name = arguments[next++];
  name.remove_prefix(name.starts_with("--") ? 2 : 1);
  std::optional<std::string_view> value;
  if (const std::size_t equals = name.find('='); equals != std::string_view::npos) {
    value = name.substr(equals + 1);
    name = name.substr(0, equals);
  }
  Flag* flag = find(name);
  if (flag == nullptr) return unknown(name);
  if (!value && flag->placeholder.empty()) value = "true";
  if (!value) {
    if (next == arguments.size()) {
      return bad("flag -" + flag->name + " needs a value: -" + flag->name + " " +
                 flag->placeholder);
    }
    value = arguments[next++];
  }
  if (flag->empty_is_none && value->empty()) return Unit{};
  flag->given = true;
  const Status done = flag->set(*value);
  if (done) return Unit{};
  return bad("bad value \"" + std::string(*value) + "\" for -" + flag->name + ": it takes " +
             done.error().text);
}

Status Flags::take_environment() {
  for (Flag& flag : flags_) {
    if (flag.variable.empty() || flag.given) continue;
    const char* text = std::getenv(flag.variable.c_str());
    if (text == nullptr || *text == '\0') continue;
    if (const Status done = flag.set(text); !done) {
      return bad("bad value \"" + std::string(text) + "\" for -" + flag.name +
                 " in the environment variable " + flag.variable + ": it takes " +
                 done.error().text);
    }
    flag.in_environment = true;
  }
  return Unit{};
}

Result<Arguments> Flags::parse(std::span<const std::string> arguments) {
  Arguments rest;
  bool flags_ended = false;
  for (std::size_t next = 0; next < arguments.size();) {
    const std::string& argument = arguments[next];
    if (flags_ended || argument.size() < 2 || argument[0] != '-') {  // a lone - is plain
      rest.plain.push_back(argument);
      if (!flags_ended) ++rest.before_dashes;
      ++next;
    } else if (argument == "--") {
      flags_ended = true;
      ++next;
    } else if (argument == "-h" || argument == "-help" || argument == "--h" ||
               argument == "--help") {
      rest.help = true;
      return rest;
    } else if (const Status taken = take(arguments, next); !taken) {
      return unexpected(taken.error());
    }
  }
  if (const Status taken = take_environment(); !taken) return unexpected(taken.error());
  if (const Status taken = take_file(); !taken) return unexpected(taken.error());
  return rest;
}

Result<Arguments> Flags::parse(int argc, const char* const* argv, int first) {
  std::vector<std::string> arguments;
  for (int i = first; i < argc; ++i) arguments.emplace_back(argv[i]);
  return parse(arguments);
}

std::string Flags::help_where(const std::function<bool(std::string_view section)>& chosen) const {
  std::string out;
  std::string_view section;
  for (const auto& flag : flags_) {
    if (!flag.title.empty()) section = flag.title;
    if (!flag.shown || !chosen(section)) continue;
    if (!flag.title.empty()) {
      out += (out.empty() ? "" : "\n") + flag.title + "\n";
      continue;
    }
    out += "  -" + flag.name + (flag.placeholder.empty() ? "" : " " + flag.placeholder) + "\n";
    std::string notes = flag.variable;
    if (!flag.default_text.empty()) {
      notes += (notes.empty() ? "default " : "; default ") + flag.default_text;
    }
    append_wrapped(out, flag.help + (notes.empty() ? "" : " (" + notes + ")"));
  }
  return out;
}

std::string Flags::help() const {
  return help_where([](std::string_view) { return true; });
}

std::string Flags::help_of(std::string_view section) const {
  return help_where([&](std::string_view title) { return title == section; });
}

std::string Flags::help_without(std::string_view section) const {
  return help_where([&](std::string_view title) { return title != section; });
}

std::string Flags::names_of(std::string_view section) const {
  std::string names;
  std::size_t line_begin = 0;
  std::string_view here;
  for (const auto& flag : flags_) {
    if (!flag.title.empty()) here = flag.title;
    if (flag.name.empty() || !flag.shown || here != section) continue;
    const std::size_t length = names.size() - line_begin + flag.name.size() + sizeof(", -,");
    if (length > help_columns_max) {
      names += ",\n";
      line_begin = names.size();
      names += "  -" + flag.name;
    } else {
      names += (names.empty() ? "  -" : ", -") + flag.name;
    }
  }
  return names + "\n";
}

}  // namespace iris
