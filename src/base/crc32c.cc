#include "src/base/crc32c.h"

#include <array>
#include <bit>
#include <cstddef>
#include <cstring>

namespace iris {
namespace {

constexpr std::uint32_t polynomial = 0x82f63b78;  // reflected

// tables[0] advances by one byte, tables[k] by one byte that k zero bytes follow.
constexpr auto tables = [] {
  std::array<std::array<std::uint32_t, 256>, 8> made{};
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    std::uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? polynomial : 0);
    made[0][byte] = crc;
  }
  for (std::size_t k = 1; k < made.size(); ++k) {
    for (std::size_t byte = 0; byte < 256; ++byte) {
      const std::uint32_t before = made[k - 1][byte];
      made[k][byte] = (before >> 8) ^ made[0][before & 0xff];
    }
  }
  return made;
}();

std::uint64_t load(const char* at) {
  std::uint64_t word = 0;
  std::memcpy(&word, at, sizeof word);
  return word;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) std::uint32_t crc32c_by_instruction(std::string_view bytes,
                                                                      std::uint32_t former) {
  std::uint64_t crc = ~former;
  const char* at = bytes.data();
  std::size_t left = bytes.size();
  for (; left >= 8; at += 8, left -= 8) crc = __builtin_ia32_crc32di(crc, load(at));
  auto narrow = static_cast<std::uint32_t>(crc);
  for (; left > 0; ++at, --left) {
    narrow = __builtin_ia32_crc32qi(narrow, static_cast<unsigned char>(*at));
  }
  return ~narrow;
}
#endif

}  // namespace

std::uint32_t detail::crc32c_by_table(std::string_view bytes, std::uint32_t former) {
  std::uint32_t crc = ~former;
  const char* at = bytes.data();
  std::size_t left = bytes.size();
  if constexpr (std::endian::native == std::endian::little) {
    for (; left >= 8; at += 8, left -= 8) {
      const std::uint64_t word = load(at) ^ crc;
      crc = 0;
      for (std::size_t k = 0; k < 8; ++k) crc ^= tables[7 - k][word >> (8 * k) & 0xff];
    }
  }
  for (; left > 0; ++at, --left) {
    crc = (crc >> 8) ^ tables[0][(crc ^ static_cast<unsigned char>(*at)) & 0xff];
  }
  return ~crc;
}

std::uint32_t crc32c(std::string_view bytes, std::uint32_t former) {
#if defined(__x86_64__)
  static const bool has_instruction = __builtin_cpu_supports("sse4.2") != 0;
  if (has_instruction) return crc32c_by_instruction(bytes, former);
#endif
  return detail::crc32c_by_table(bytes, former);
}

}  // namespace iris
