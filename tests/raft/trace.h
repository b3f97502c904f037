// Messages, outputs and states as text for scripts: term/index for an entry, node numbers for ids.
// Any thread; pure functions.
#pragma once

#include <string>
#include <vector>

#include "raft/core.h"

namespace iris::raft::test {

[[nodiscard]] std::string text(EntryId id);
[[nodiscard]] std::string text(const std::vector<EntryPtr>& entries);
[[nodiscard]] std::string text(const Members& members);
[[nodiscard]] std::string kind(const Body& body);        // the word that scripts use
[[nodiscard]] std::string text(const Message& message);  // "1>2 t3 append after 1/1 [3/2] commit 1"
[[nodiscard]] std::string text(const LogWrite& write);
[[nodiscard]] std::string role_text(const CoreStatus& status);
[[nodiscard]] std::string text(const CoreStatus& status);
[[nodiscard]] std::string text(Errc code);

}  // namespace iris::raft::test
