// The commands for files and folders of nodes that do not run: verify, restore, recover.
// Main thread, blocking. The result is told on stdout, the reason of a failure on stderr.
#pragma once

#include <span>
#include <string>

namespace iris {

// Whether the first word of a command line asks for one of these.
[[nodiscard]] bool is_offline_command(const std::string& word);
// Carries it out; the exit code: 0 done, 1 not done or not said, with the reason, 2 usage.
// REQUIRES: is_offline_command(words[0])
[[nodiscard]] int run_offline(std::span<const std::string> words);

}  // namespace iris
