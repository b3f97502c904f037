// A whole small file as bytes: certificates, positions. Any thread; any kind of path is an answer,
// a folder too (std::ifstream throws there).
#pragma once

#include <optional>
#include <string>

namespace iris::client {

// nullopt: errno says why.
[[nodiscard]] std::optional<std::string> read_file(const std::string& path);

}  // namespace iris::client
