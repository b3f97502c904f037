// The output of iris-cli: data and nothing else on stdout, words for people on stderr. The bytes of
// a value are printed as they are; in JSON as text where they are UTF-8, else as base64 with
// "encoding".
// A terminal is never steered by what others wrote: control characters are printed as escapes
// there. Main thread, but print() and say() from any. Owns nothing.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

namespace iris::cli {

// Fields stay in the order they were added.
using Json = nlohmann::ordered_json;

enum class Format { text, json };

// To stdout, as it is. The first failure is remembered for finish().
void print(std::string_view bytes);
// One object on a line of its own.
void print_json(const Json& object);
// False: something that was printed did not get out; says so on stderr.
[[nodiscard]] bool finish();
// "iris-cli: TEXT" on stderr; on a terminal with its control characters escaped, but newlines.
void say(std::string_view text);

// Is stdout a terminal?
[[nodiscard]] bool is_terminal();

// `text` with its control characters (C0, C1, DEL and those that turn the direction of writing) as
// \n, \t, \r or \u001b, but those in `kept`. Where it is not UTF-8, the bytes from 0x80 as \xff.
[[nodiscard]] std::string escaped(std::string_view text, std::string_view kept);
// A name, or a node's own words, as they are printed: escaped on a terminal; elsewhere as it is but
// for newlines, which are always \n, so that a line is one name.
[[nodiscard]] std::string name_text(std::string_view name);
// A value as it is printed: escaped on a terminal but for what is in `kept`, elsewhere as it is.
[[nodiscard]] std::string value_text(std::string_view value, std::string_view kept = "");

[[nodiscard]] std::string base64(std::string_view bytes);
// Adds "value", and "encoding": "base64" where it is not UTF-8.
void add_value(Json& object, std::string_view bytes);

// 1536 -> "1.5 KiB"
[[nodiscard]] std::string size_text(std::uint64_t bytes);

}  // namespace iris::cli
