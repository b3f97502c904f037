// The table of the commands of iris-cli: names, help, and the functions that run them. Constants
// only.
#pragma once

#include <span>
#include <string>

#include "src/cli/command.h"

namespace iris::cli {

[[nodiscard]] std::span<const Command> all_commands();
// The command whose words the line begins with; nullptr: there is none. REQUIRES: a word.
[[nodiscard]] const Command* find_command(std::span<const std::string> words);
// One or two.
[[nodiscard]] std::size_t words_of(const Command& command);

}  // namespace iris::cli
