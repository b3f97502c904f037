// What iris-cli prints: data on stdout and nothing else there, words for people on stderr. Bytes of
// a value go out as they are; in JSON as text where they are UTF-8, else as base64 with "encoding".
// Main thread, but print() and say() from any. Owns nothing.
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
// "iris-cli: TEXT" on stderr.
void say(std::string_view text);

// Is stdout a terminal?
[[nodiscard]] bool is_terminal();

[[nodiscard]] std::string base64(std::string_view bytes);
// Adds "value", and "encoding": "base64" where it is not UTF-8.
void add_value(Json& object, std::string_view bytes);

// 1536 -> "1.5 KiB"
[[nodiscard]] std::string size_text(std::uint64_t bytes);

}  // namespace iris::cli
