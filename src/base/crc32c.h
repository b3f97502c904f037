// CRC-32C (Castagnoli, polynomial 0x1EDC6F41, as in RFC 3720 appendix B.4): the checksum of what
// Iris keeps and sends. It finds every burst of up to 32 damaged bits and proves nothing against an
// attacker. Any thread; pure functions; allocates nothing. Uses the processor's instruction where
// there is one (x86-64 with SSE 4.2), else tables.
#pragma once

#include <cstdint>
#include <string_view>

namespace iris {

// The checksum of the bytes that `former` is the checksum of (0: no bytes), followed by `bytes`.
[[nodiscard]] std::uint32_t crc32c(std::string_view bytes, std::uint32_t former = 0);

namespace detail {
// For processors without the instruction.
[[nodiscard]] std::uint32_t crc32c_by_table(std::string_view bytes, std::uint32_t former = 0);
}  // namespace detail

}  // namespace iris
