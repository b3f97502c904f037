// Hook: the command that `watch` runs for each change, the value on its stdin. One thread; blocks
// until the command has ended. Owns the value's memory file while the command runs.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace iris::cli {

// A variable that the command's environment has besides ours.
struct HookVariable {
  std::string_view name;
  std::optional<std::string> value;  // nullopt: it is not set, though ours may be
};

// The variables that describe a change to a command of watch: IRIS_WATCH_SOURCE, _KEY, _REVISION,
// _OP, and the same by the short names IRIS_SOURCE and so on. IRIS_KEY names the file of the
// client's key everywhere else: a client in the command finds that file as IRIS_CLIENT_KEY
// (src/client/key_variable.h). A key with a NUL byte is in no variable: a variable would hold only
// its beginning, which is another key.
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
