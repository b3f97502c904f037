// CRC-32C (Castagnoli), as in RFC 3720 appendix B.4: the checksum of frames between nodes.
// Any thread; pure. Uses the processor's instruction where there is one.
#pragma once

#include <cstdint>
#include <string_view>

namespace iris {

[[nodiscard]] std::uint32_t crc32c(std::string_view bytes);

namespace detail {
[[nodiscard]] std::uint32_t crc32c_by_table(std::string_view bytes);  // for processors without
}

}  // namespace iris
