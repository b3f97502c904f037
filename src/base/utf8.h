// UTF-8: the form of the names of sources, keys, sessions and members, as these are strings of
// Protocol Buffers. Values may be any bytes. Any thread; pure.
#pragma once

#include <string_view>

namespace iris::client {

// By RFC 3629: no over-long forms, no surrogates, nothing above U+10FFFF.
[[nodiscard]] bool is_utf8(std::string_view bytes);

}  // namespace iris::client
