// Publication: the contents of a written value: its run, its number within its source, and when the
// write was due.
//
//   run 8 | number 8 | due 8 (ns of the steady clock) | padding up to -value
//
// All in the byte order of this machine: writer and reader are one process. Any thread; pure.
#pragma once

#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>

namespace iris::bench {

struct Publication {
  std::uint64_t run = 0;
  std::uint64_t number = 0;
  std::int64_t due_ns = 0;
};

inline constexpr std::size_t publication_bytes = sizeof(Publication);
static_assert(publication_bytes == 24);

// At least publication_bytes, whatever `value_bytes` says.
inline void write_publication(std::string& value, const Publication& publication) {
  std::memcpy(value.data(), &publication, publication_bytes);
}
[[nodiscard]] inline std::optional<Publication> read_publication(std::string_view value) {
  if (value.size() < publication_bytes) return std::nullopt;
  Publication publication;
  std::memcpy(&publication, value.data(), publication_bytes);
  return publication;
}

}  // namespace iris::bench
