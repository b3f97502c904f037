#include "tests/history/history_file.h"

#include <array>
#include <cstdio>
#include <istream>
#include <nlohmann/json.hpp>
#include <ostream>
#include <string_view>
#include <utility>

namespace iris::history {
namespace {

using nlohmann::json;

template <class Enum, std::size_t count>
using Words = std::array<std::pair<Enum, const char*>, count>;

constexpr Words<Kind, 5> kinds = {{{Kind::set, "set"},
                                   {Kind::remove, "remove"},
                                   {Kind::remove_source, "remove_source"},
                                   {Kind::get, "get"},
                                   {Kind::list, "list"}}};
constexpr Words<Outcome, 4> outcomes = {{{Outcome::ok, "ok"},
                                         {Outcome::conflict, "conflict"},
                                         {Outcome::not_done, "not_done"},
                                         {Outcome::unknown, "unknown"}}};

template <class Enum, std::size_t count>
const char* word_of(const Words<Enum, count>& words, Enum value) {
  for (const auto& [each, word] : words) {
    if (each == value) return word;
  }
  CHECK(false);
}

template <class Enum, std::size_t count>
bool take_word(const Words<Enum, count>& words, const std::string& text, Enum& value) {
  for (const auto& [each, word] : words) {
    if (text != word) continue;
    value = each;
    return true;
  }
  return false;
}

// Throws what nlohmann throws, where a field is missing or of another type.
std::string parse(const json& line, Operation& operation) {
  if (!take_word(kinds, line.at("op").get<std::string>(), operation.kind)) return "op";
  if (!take_word(outcomes, line.at("outcome").get<std::string>(), operation.outcome)) {
    return "outcome";
  }
  operation.client = line.at("client").get<std::uint32_t>();
  operation.source = line.at("source").get<std::string>();
  operation.begin_us = line.at("begin_us").get<std::int64_t>();
  operation.end_us = line.at("end_us").get<std::int64_t>();
  if (operation.end_us < operation.begin_us) return "end_us";
  operation.key = line.value("key", "");
  operation.value = line.value("value", "");
  operation.stale = line.value("stale", false);
  operation.found = line.value("found", false);
  operation.revision = line.value("revision", std::uint64_t{0});
  if (line.contains("if_revision")) {
    operation.if_revision = line.at("if_revision").get<std::uint64_t>();
  }
  for (const json& row : line.value("rows", json::array())) {
    operation.rows.push_back({row.at("key").get<std::string>(), row.at("value").get<std::string>(),
                              row.at("revision").get<std::uint64_t>()});
  }
  return "";
}

}  // namespace

void write_operation(std::ostream& out, const Operation& operation) {
  json line = {{"client", operation.client}, {"op", word_of(kinds, operation.kind)},
               {"source", operation.source}, {"begin_us", operation.begin_us},
               {"end_us", operation.end_us}, {"outcome", word_of(outcomes, operation.outcome)}};
  if (!operation.key.empty()) line["key"] = operation.key;
  if (!operation.value.empty()) line["value"] = operation.value;
  if (operation.if_revision) line["if_revision"] = *operation.if_revision;
  if (operation.stale) line["stale"] = true;
  if (operation.found) line["found"] = true;
  if (operation.revision != 0) line["revision"] = operation.revision;
  for (const Row& row : operation.rows) {
    line["rows"].push_back({{"key", row.key}, {"value", row.value}, {"revision", row.revision}});
  }
  out << line.dump() << '\n';
}

Result<History> read_history(std::istream& in, const std::string& path) {
  History history;
  std::string text;
  for (std::size_t number = 1; std::getline(in, text); ++number) {
    const auto bad = [&](const std::string& why) {
      return fail(Errc::invalid_argument, path + ":" + std::to_string(number) + ": " + why);
    };
    try {
      Operation operation;
      const std::string wrong = parse(json::parse(text), operation);
      if (!wrong.empty()) return bad("the field \"" + wrong + "\" has no such value");
      history.push_back(std::move(operation));
    } catch (const json::exception& error) {
      return bad(error.what());
    }
  }
  if (in.bad()) return fail(Errc::io, path + ": cannot be read");
  return history;
}

std::string text_of(const Operation& operation) {
  std::string text = word_of(kinds, operation.kind);
  text += " " + operation.source;
  if (!operation.key.empty()) text += "/" + operation.key;
  if (operation.kind == Kind::set || operation.found) text += " = " + operation.value;
  if (operation.kind == Kind::get && !operation.found) text += ": absent";
  if (operation.if_revision) text += ", if_revision " + std::to_string(*operation.if_revision);
  char times[96];
  std::snprintf(times, sizeof times, " (client %u, %.3f s to %.3f s, ", operation.client,
                static_cast<double>(operation.begin_us) / 1e6,
                static_cast<double>(operation.end_us) / 1e6);
  text += times;
  text += operation.revision != 0 ? "revision " + std::to_string(operation.revision)
                                  : std::string(word_of(outcomes, operation.outcome));
  return text + ")";
}

}  // namespace iris::history
