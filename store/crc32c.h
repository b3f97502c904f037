// CRC-32C (Castagnoli, polynomial 0x1EDC6F41, as in RFC 3720 appendix B.4): the checksum of what
// Iris keeps and sends. Finds every burst of up to 32 damaged bits; proves nothing against an
// attacker. Any thread; pure functions; allocates nothing.
#pragma once

#include <cstdint>
#include <string_view>

namespace iris::store {

// The checksum of `bytes` appended to what `former` is the checksum of (0: of nothing).
[[nodiscard]] std::uint32_t crc32c(std::string_view bytes, std::uint32_t former = 0);

}  // namespace iris::store
