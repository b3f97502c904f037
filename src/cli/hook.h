// Hook: the command that `watch` runs for each change, the value on its stdin. One thread; blocks
// until the command has ended. Owns the value's memory file while the command runs.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace iris::cli {

// What the command finds in its environment besides ours.
struct HookVariable {
  std::string_view name;
  std::string value;
};

// Runs `command` (looked up in PATH). nullopt: it exited 0. Else what happened, for people.
// REQUIRES: command is not empty.
[[nodiscard]] std::optional<std::string> run_hook(const std::vector<std::string>& command,
                                                  const std::vector<HookVariable>& variables,
                                                  std::string_view value);

}  // namespace iris::cli
