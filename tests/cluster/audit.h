// Values of iris-chaos audit: sources and keys by number, updates as they are kept for the
// reckoning at the end. Any thread.
#pragma once

#include <charconv>
#include <compare>
#include <cstdint>
#include <cstdio>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace iris::test::audit {

inline constexpr std::uint16_t sources = 20;
inline constexpr std::uint16_t keys = 40;  // of each source

// "s07", "k13": in byte order as in that of the numbers.
[[nodiscard]] inline std::string name_of(char letter, std::uint16_t number) {
  char text[16];
  std::snprintf(text, sizeof text, "%c%02u", letter, unsigned{number});
  return text;
}
[[nodiscard]] inline std::string source_name(std::uint16_t source) { return name_of('s', source); }
[[nodiscard]] inline std::string key_name(std::uint16_t key) { return name_of('k', key); }

// Every write of a run stores a number of its own, padded.
[[nodiscard]] inline std::string value_of(std::uint32_t number) {
  std::string value = std::to_string(number) + " ";
  value.resize(64, '.');
  return value;
}

template <class Number>
[[nodiscard]] std::optional<Number> leading_number(std::string_view text) {
  Number number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc()) return std::nullopt;
  return number;
}

// (revision, key) says where in its source's history an update stands.
struct Place {
  std::uint64_t revision = 0;
  std::uint16_t key = 0;
  auto operator<=>(const Place&) const = default;
};
inline constexpr std::uint16_t key_end = 0xffff;  // behind all keys of a revision

struct Seen {
  Place place;
  std::uint16_t source = 0;
  std::uint32_t number = 0;  // 0: removed
  bool operator==(const Seen&) const = default;
};

// A key as it stands.
struct Row {
  std::uint32_t number = 0;
  std::uint64_t revision = 0;
  bool operator==(const Row&) const = default;
};
using Map = std::map<std::pair<std::uint16_t, std::uint16_t>, Row>;  // by source and key

// A SetValue that was acknowledged.
struct Stored {
  std::uint64_t revision = 0;
  std::uint16_t source = 0;
  std::uint16_t key = 0;
  std::uint32_t number = 0;
};

}  // namespace iris::test::audit
