// Is it UTF-8? The names of sources, keys, sessions and members are strings of Protocol Buffers,
// which carry nothing else; values may be any bytes. Any thread; pure.
#pragma once

#include <string_view>

namespace iris::client {

// As RFC 3629 has it: no over-long forms, no surrogates, nothing beyond U+10FFFF.
[[nodiscard]] bool is_utf8(std::string_view bytes);

}  // namespace iris::client
