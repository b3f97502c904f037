// set, get, ls, rm, and their spellings of 2017.
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>

#include "src/cli/command.h"

namespace iris::cli {
namespace {

constexpr std::uint64_t revision_max = std::numeric_limits<std::uint64_t>::max();

// In 2017 all commands took the same set of flags: a command ignores those that it does not need.
constexpr const char* old_flags[] = {"source", "key", "value"};

// Source, key and value of a command, which come as plain arguments or, in the old spelling, by
// flags.
struct Names {
  std::string source;
  std::string key;
  std::string value;
  bool old = false;

  // `used`: how many of the old flags, from the first, the command has a use for.
  void declare(Flags& flags, std::size_t used) {
    if (used > 0) flags.section("Old spelling of the arguments");
    const auto one = [&](std::size_t place, std::string* target, const char* placeholder,
                         const char* help) {
      if (place >= used) return flags.ignored(old_flags[place]);
      flags.text(old_flags[place], target, placeholder, help);
    };
    one(0, &source, "SOURCE", "the source");
    one(1, &key, "KEY", "the key");
    one(2, &value, "VALUE", "the value, as it is");
  }
  // Notes whether the names were given by flags; if so, all `used` ones must be there.
  // REQUIRES: declare().
  [[nodiscard]] std::optional<ExitCode> take(const Line& line, const Flags& flags,
                                             std::size_t used) {
    for (const char* name : old_flags) old = old || flags.given(name);
    if (!old) return std::nullopt;
    if (!line.plain().empty()) {
      return line.usage("names are given by flags or without, not both ways: \"" +
                        line.plain().front() + "\"");
    }
    for (std::size_t i = 0; i < used; ++i) {
      const std::string name = old_flags[i];
      if (!flags.given(name)) return line.usage("-" + name + " is missing");
    }
    return std::nullopt;
  }
};

// All of stdin. nullopt: said why.
std::optional<std::string> read_stdin() {
  std::string bytes;
  char buffer[65536];
  while (const std::size_t count = std::fread(buffer, 1, sizeof buffer, stdin)) {
    bytes.append(buffer, count);
  }
  if (std::ferror(stdin) == 0) return bytes;
  say(std::string("cannot read the value from stdin: ") + std::strerror(errno));
  return std::nullopt;
}

struct Condition {
  std::optional<std::uint64_t> revision;

  void declare(Flags& flags) {
    flags.section("Condition");
    flags.number("if-rev", &revision, 0, revision_max, "REVISION",
                 "only if the value is of this revision, else exit 6; 0: only if there is none");
  }
  [[nodiscard]] client::WriteOptions options() const {
    client::WriteOptions options;
    options.if_revision = revision;
    return options;
  }
};

struct Freshness {
  bool stale = false;
  std::uint64_t at_least = 0;

  void declare(Flags& flags) {
    flags.section("Freshness");
    flags.boolean("stale", &stale,
                  "what the asked node has, at once; else every write acknowledged before is seen");
    flags.number("at-least", &at_least, 0, revision_max, "REVISION",
                 "at least as new as this revision");
  }
};

ExitCode end(ExitCode code) { return finish() ? code : exit_output; }

Json named(const std::string& source, const std::string& key) {
  Json object;
  object["source"] = source;
  object["key"] = key;
  return object;
}

ExitCode list(Line& line, const std::string* source, const client::ListOptions& options) {
  auto client = line.client();
  if (!client) return line.code();
  if (source == nullptr) {
    const auto rows = client->sources(options);
    if (!rows) return line.failed(rows.error());
    for (const auto& row : *rows) {
      if (line.json()) {
        print_json({{"source", row}});
      } else {
        print(name_text(row) + "\n");
      }
    }
    return end(exit_ok);
  }
  const auto rows = client->keys(*source, options);
  if (!rows) return line.failed(rows.error());
  for (const auto& row : *rows) {
    if (line.json()) {
      Json object{{"key", row.key}};
      if (options.with_values) {
        add_value(object, row.value.bytes);
        object["revision"] = row.value.revision;
      }
      print_json(object);
    } else if (options.with_values) {
      print(name_text(row.key) + "\t" + value_text(row.value.bytes) + "\n");
    } else {
      print(name_text(row.key) + "\n");
    }
  }
  return end(exit_ok);
}

ExitCode remove(Line& line, const Names& names, bool whole_source,
                const client::WriteOptions& options) {
  auto client = line.client();
  if (!client) return line.code();
  const auto done = whole_source ? client->remove_source(names.source)
                                 : client->remove(names.source, names.key, options);
  if (!done) return line.failed(done.error());
  if (line.json()) {
    Json object{{"source", names.source}};
    if (!whole_source) object["key"] = names.key;
    object["revision"] = done->revision;
    print_json(object);
  }
  return end(exit_ok);
}

}  // namespace

ExitCode run_set(const Command& self, std::span<const std::string> arguments) {
  Line line(self);
  Names names;
  Condition condition;
  condition.declare(line.flags());
  names.declare(line.flags(), 3);
  if (const auto code = line.parse(arguments, 0, 3)) return *code;
  if (const auto code = names.take(line, line.flags(), 3)) return *code;
  if (!names.old) {
    if (const auto code = line.need(3)) return *code;
    names.source = line.plain()[0];
    names.key = line.plain()[1];
    names.value = line.plain()[2];
    if (names.value == "-") {
      auto bytes = read_stdin();
      if (!bytes) return exit_usage;
      names.value = std::move(*bytes);
    }
  }
  auto client = line.client();
  if (!client) return line.code();
  const auto written = client->set(names.source, names.key, names.value, condition.options());
  if (!written) return line.failed(written.error());
  if (line.json()) {
    Json object = named(names.source, names.key);
    add_value(object, names.value);
    object["revision"] = written->revision;
    print_json(object);
  }
  return end(exit_ok);
}

ExitCode run_get(const Command& self, std::span<const std::string> arguments) {
  Line line(self);
  Names names;
  Freshness freshness;
  freshness.declare(line.flags());
  names.declare(line.flags(), 2);
  if (const auto code = line.parse(arguments, 0, 2)) return *code;
  if (const auto code = names.take(line, line.flags(), 2)) return *code;
  if (!names.old) {
    if (const auto code = line.need(2)) return *code;
    names.source = line.plain()[0];
    names.key = line.plain()[1];
  }
  auto client = line.client();
  if (!client) return line.code();
  const auto value = client->get(names.source, names.key,
                                 {.stale = freshness.stale, .min_revision = freshness.at_least});
  if (!value) return line.failed(value.error());
  if (line.json()) {
    Json object = named(names.source, names.key);
    if (value->found) add_value(object, value->bytes);
    object["found"] = value->found;
    if (value->found) object["revision"] = value->revision;
    print_json(object);
  } else if (value->found) {
    print(value_text(value->bytes, "\n\t"));
    // The next prompt begins on a line of its own; a pipe gets the bytes and nothing else.
    if (is_terminal() && !value->bytes.ends_with('\n')) print("\n");
  }
  if (value->found || names.old) return end(exit_ok);
  if (!line.json()) say("not found: " + names.source + " " + names.key);
  return end(exit_not_found);
}

ExitCode run_ls(const Command& self, std::span<const std::string> arguments) {
  Line line(self);
  Freshness freshness;
  client::ListOptions options;
  line.flags().section("Which rows");
  line.flags().text("prefix", &options.prefix, "TEXT", "only names that begin with it");
  line.flags().text("start-after", &options.start_after, "NAME", "only names behind it");
  line.flags().number("limit", &options.limit, 0, revision_max, "ROWS", "at most so many; 0: all");
  line.flags().boolean("values", &options.with_values,
                       "with the values of the keys: KEY, a tab, VALUE");
  freshness.declare(line.flags());
  if (const auto code = line.parse(arguments, 0, 1)) return *code;
  if (options.with_values && line.plain().empty()) {
    return line.usage("-values needs a SOURCE: sources have no values");
  }
  options.stale = freshness.stale;
  options.min_revision = freshness.at_least;
  return list(line, line.plain().empty() ? nullptr : &line.plain()[0], options);
}

ExitCode run_rm(const Command& self, std::span<const std::string> arguments) {
  Line line(self);
  Names names;
  Condition condition;
  condition.declare(line.flags());
  if (const auto code = line.parse(arguments, 1, 2)) return *code;
  names.source = line.plain()[0];
  const bool whole_source = line.plain().size() == 1;
  if (whole_source && condition.revision) {
    return line.usage("-if-rev is for one KEY, not for a whole source");
  }
  if (!whole_source) names.key = line.plain()[1];
  return remove(line, names, whole_source, condition.options());
}

ExitCode run_getsources(const Command& self, std::span<const std::string> arguments) {
  Line line(self);
  Names().declare(line.flags(), 0);
  if (const auto code = line.parse(arguments, 0, 0)) return *code;
  return list(line, nullptr, {});
}

ExitCode run_getkeys(const Command& self, std::span<const std::string> arguments) {
  Line line(self);
  Names names;
  names.declare(line.flags(), 1);
  if (const auto code = line.parse(arguments, 0, 0)) return *code;
  if (!line.flags().given("source")) return line.usage("-source is missing");
  return list(line, &names.source, {});
}

ExitCode run_removesource(const Command& self, std::span<const std::string> arguments) {
  Line line(self);
  Names names;
  names.declare(line.flags(), 1);
  if (const auto code = line.parse(arguments, 0, 0)) return *code;
  if (!line.flags().given("source")) return line.usage("-source is missing");
  return remove(line, names, true, {});
}

ExitCode run_removekey(const Command& self, std::span<const std::string> arguments) {
  Line line(self);
  Names names;
  names.declare(line.flags(), 2);
  if (const auto code = line.parse(arguments, 0, 0)) return *code;
  if (const auto code = names.take(line, line.flags(), 2)) return *code;
  if (!names.old) return line.usage("-source is missing");
  return remove(line, names, false, {});
}

}  // namespace iris::cli
