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
  std::optional<std::string> value;  // nullopt: it is not set, though ours may be
};

// What a command of watch is told of a change: IRIS_WATCH_SOURCE, _KEY, _REVISION, _OP, and the
// same by the short names IRIS_SOURCE and so on. But IRIS_KEY was the file of the client's key
// until here: a client in the command finds that as IRIS_CLIENT_KEY (src/client/key_variable.h).
// A key with a NUL byte is in none of them: they would hold the beginning of it, another key.
[[nodiscard]] std::vector<HookVariable> hook_variables(const std::string& source,
                                                       const std::string& key,
                                                       const std::string& revision,
                                                       const std::string& op);

// Runs `command` (looked up in PATH). nullopt: it exited 0. Else what happened, for people.
// REQUIRES: command is not empty.
[[nodiscard]] std::optional<std::string> run_hook(const std::vector<std::string>& command,
                                                  const std::vector<HookVariable>& variables,
                                                  std::string_view value);

}  // namespace iris::cli
