// Lower-case hex digits of numbers and bytes. Any thread; pure; header only, so that no program has
// to link a library for it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace iris {

inline constexpr std::string_view hex_digits = "0123456789abcdef";

// The lowest `digits` digits of `value`, with leading zeros.
[[nodiscard]] inline std::string hex(std::uint64_t value, std::size_t digits) {
  std::string text(digits, '0');
  for (std::size_t place = digits; place-- > 0; value >>= 4) text[place] = hex_digits[value & 15];
  return text;
}

// Two digits a byte.
[[nodiscard]] inline std::string hex(std::string_view bytes) {
  std::string text;
  text.reserve(2 * bytes.size());
  for (const char byte : bytes) text += hex(static_cast<unsigned char>(byte), 2);
  return text;
}

}  // namespace iris
