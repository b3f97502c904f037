// The file of a history: JSON lines, one operation each, in any order (README.md has the fields).
// Any thread; blocks.
#pragma once

#include <iosfwd>
#include <string>

#include "raft/result.h"
#include "tests/history/operation.h"

namespace iris::history {

void write_operation(std::ostream& out, const Operation& operation);
// Errc::invalid_argument naming the line and the field that is wrong.
[[nodiscard]] Result<History> read_history(std::istream& in, const std::string& path);

// "set s/k = v (client 3, 1.200 s to 1.250 s, revision 17)", for the sentences of checkers.
[[nodiscard]] std::string text_of(const Operation& operation);

}  // namespace iris::history
