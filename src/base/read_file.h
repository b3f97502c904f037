// Reads a whole small file: certificates, positions, identities. Any thread; blocks. A path of any
// kind gets an answer, a folder too (std::ifstream would throw there).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

namespace iris {

// nullopt: errno says why. EFBIG: the file is longer than `bytes_max`.
[[nodiscard]] std::optional<std::string> read_file(const std::string& path,
                                                   std::size_t bytes_max = SIZE_MAX);

}  // namespace iris
