// Flags: a command line in Go's manner. `-port 55000`, `-port=55000` and `--port 55000` are the
// same; a boolean is `-insecure` or `-insecure=true`; `--` ends the flags. Flags and plain
// arguments may be mixed. Each flag is declared once, with its target, its range, its help and the
// environment variable that may set it, and the help text is made from that. Used by iris, iris-cli
// and iris-bench. Any thread; owns nothing but its table. Never prints, never exits: errors are
// sentences.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "raft/result.h"

namespace iris {

inline constexpr std::size_t config_bytes_max = 1u << 20;  // of a file of flags

// The rest of a command line, once its flags are taken.
struct Arguments {
  std::vector<std::string> plain;  // everything that is no flag
  std::size_t before_dashes = 0;   // how many of them came before `--` (all, where there was none)
  bool help = false;               // -h or -help was met; nothing after it was looked at
};

class Flags {
 public:
  // A headline in the help; the flags that are declared after it stand below it.
  void section(std::string title);

  // --- Declarations. The target's value at this moment is the default shown in the help; every
  // target outlives this object. REQUIRES: a name that is not taken. `placeholder` is what stands
  // for the value in the help: "HOST".
  void text(std::string name, std::string* target, std::string placeholder, std::string help);
  // Comma-separated; may be given several times, each adds. Empty pieces are refused, but nothing
  // at all is as if the flag were not there: -join "$JOIN".
  void list(std::string name, std::vector<std::string>* target, std::string placeholder,
            std::string help);
  void boolean(std::string name, bool* target, std::string help);
  // A decimal number in [min, max].
  void number(std::string name, std::uint32_t* target, std::uint32_t min, std::uint32_t max,
              std::string placeholder, std::string help);
  void number(std::string name, std::uint64_t* target, std::uint64_t min, std::uint64_t max,
              std::string placeholder, std::string help);
  // The same without a default: what is not given stays empty.
  void number(std::string name, std::optional<std::uint64_t>* target, std::uint64_t min,
              std::uint64_t max, std::string placeholder, std::string help);
  // A number of bytes in [min, max]: 4194304, or 4096KiB, 4MiB, 4GiB.
  void bytes(std::string name, std::uint64_t* target, std::uint64_t min, std::uint64_t max,
             std::string help);
  // A time in [min, max] in Go's spelling: 1500ms, 30s, 10m, 2h, 1m30s.
  void duration(std::string name, std::chrono::milliseconds* target, std::chrono::milliseconds min,
                std::chrono::milliseconds max, std::string help);
  // Anything else: `set` takes the text or says what is wrong with it.
  void custom(std::string name, std::string placeholder, std::string default_text, std::string help,
              std::function<Status(std::string_view text)> set);
  // Taken with a value, which means nothing, and not shown.
  void ignored(std::string name);
  // Another spelling, taken but not shown. REQUIRES: `name` is declared.
  void alias(std::string other, std::string_view name);
  // parse() sets the flag from this environment variable where the command line does not give it
  // and the variable is not empty. REQUIRES: `name` is declared.
  void variable(std::string_view name, std::string variable);
  // -NAME FILE: parse() takes further flags from that file, a line each, "flag value" without the
  // dash, from a # on comment. What the command line or the environment gives is not taken from it.
  void config_file(const std::string& name, std::string help);
  // No file may hold it. REQUIRES: `name` is declared.
  void command_line_only(std::string_view name);
  // A sentence for whoever gives a flag that does not exist, where no known one is near.
  void unknown_hint(std::string text) { unknown_hint_ = std::move(text); }

  // Sets the targets. Errc::invalid_argument: an unknown flag (with the nearest known one), a
  // missing or bad value; the text names the flag, the value and what would be right. A target may
  // then be set already.
  [[nodiscard]] Result<Arguments> parse(std::span<const std::string> arguments);
  [[nodiscard]] Result<Arguments> parse(int argc, const char* const* argv, int first = 1);

  // Was this flag on the command line? REQUIRES: `name` is declared.
  [[nodiscard]] bool given(std::string_view name) const;
  // Was it set by its environment variable? REQUIRES: `name` is declared.
  [[nodiscard]] bool in_environment(std::string_view name) const;

  // One paragraph a flag, in the order of declaration, at most 100 columns wide.
  [[nodiscard]] std::string help() const;
  // The same, of one section alone, and of all sections but one.
  [[nodiscard]] std::string help_of(std::string_view section) const;
  [[nodiscard]] std::string help_without(std::string_view section) const;
  // The names of a section's flags in lines of at most 100 columns: "  -addr, -insecure\n".
  [[nodiscard]] std::string names_of(std::string_view section) const;

 private:
  struct Flag {
    std::string name;
    std::string placeholder;  // empty: a boolean
    std::string default_text;
    std::string help;
    std::function<Status(std::string_view text)> set;
    std::string title = {};     // a headline instead of a flag, where not empty
    std::string variable = {};  // of the environment; empty: none
    bool empty_is_none = false;
    bool shown = true;
    bool given = false;
    bool in_environment = false;
    bool command_line_only = false;
  };
  struct Alias {
    std::string name;
    std::size_t flag;
  };
  [[nodiscard]] Flag* find(std::string_view name);
  [[nodiscard]] const Flag* find(std::string_view name) const;
  [[nodiscard]] unexpected<Error> unknown(std::string_view name) const;
  Status take(std::span<const std::string> arguments, std::size_t& next);
  Status take_environment();
  Status take_file();
  [[nodiscard]] Status take_line(std::string_view line, const std::string& place);
  // The flags for which `chosen` says yes to the title of their section.
  [[nodiscard]] std::string help_where(
      const std::function<bool(std::string_view section)>& chosen) const;

  std::vector<Flag> flags_;
  std::vector<Alias> aliases_;
  std::string config_name_;  // the flag that names the file
  std::string config_path_;
  std::string unknown_hint_;
};

// The candidate that `word` was most likely meant to be; empty where none is near.
[[nodiscard]] std::string nearest(std::string_view word, std::span<const std::string> candidates);

}  // namespace iris
