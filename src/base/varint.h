// Varint: a number as seven bits a byte, the least significant first. Every byte but the last has
// its top bit set. Source: the encoding of Protocol Buffers.
// Any thread; pure; inline, as the messages between nodes are made of it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace iris {

inline constexpr std::size_t varint_bytes_max = 10;

// Returns the end of what it wrote. REQUIRES: room for varint_bytes_max bytes at `at`.
[[nodiscard]] inline char* put_varint(char* at, std::uint64_t value) {
  for (; value >= 0x80; value >>= 7) *at++ = static_cast<char>(value | 0x80);
  *at++ = static_cast<char>(value);
  return at;
}

// Takes a varint from the front of `rest`; it need not be in its shortest form. False: it is cut
// off or has more than 64 bits, and `rest` stays as it was.
[[nodiscard]] inline bool take_varint(std::string_view& rest, std::uint64_t& value) {
  std::uint64_t taken = 0;
  for (unsigned i = 0; i < varint_bytes_max && i < rest.size(); ++i) {
    const auto byte = static_cast<unsigned char>(rest[i]);
    taken |= static_cast<std::uint64_t>(byte & 0x7f) << (7 * i);
    if (byte >= 0x80) continue;
    if (i + 1 == varint_bytes_max && byte > 1) return false;
    rest.remove_prefix(i + 1);
    value = taken;
    return true;
  }
  return false;
}

}  // namespace iris
