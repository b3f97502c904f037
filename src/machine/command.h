// Commands: what a client's write is in the log, and its bytes (the layout is drawn in command.cc).
// Any thread; plain values and pure functions. parse() and decode() are total: any bytes give a
// command or an error, never an abort (hazard 81).
// Never checks sizes of names and values: that is the door's work (src/api/limits.h).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "raft/result.h"

namespace iris {

struct SetValue {
  std::string source, key, value;
  std::optional<std::uint64_t> if_revision;  // 0: must not exist
  bool operator==(const SetValue&) const = default;
};
struct RemoveValue {
  std::string source, key;
  std::optional<std::uint64_t> if_revision;
  bool operator==(const RemoveValue&) const = default;
};
struct RemoveSource {
  std::string source;
  bool operator==(const RemoveSource&) const = default;
};
struct Subscribe {
  std::string session, source;
  std::optional<std::string> key;  // none: the whole source
  bool operator==(const Subscribe&) const = default;
};
struct Unsubscribe {
  std::string session, source;
  std::optional<std::string> key;
  bool operator==(const Unsubscribe&) const = default;
};
// Proposed by the leader only, for sessions no node has served for -session-ttl. A session that
// subscribed to something after `up_to` (what the leader had applied when it decided) is spared.
struct ExpireSessions {
  std::uint64_t up_to = 0;
  std::vector<std::string> sessions;
  bool operator==(const ExpireSessions&) const = default;
};
using Operation =
    std::variant<SetValue, RemoveValue, RemoveSource, Subscribe, Unsubscribe, ExpireSessions>;

// REQUIRES: no empty source, session or key (limits.h refuses them).
[[nodiscard]] std::string encode(const Operation& operation);
[[nodiscard]] Result<Operation> decode(std::string_view bytes);

// A command read in place. Its views point into the bytes it was parsed from.
struct CommandView {
  // Numbers are in the log: never reuse one.
  enum class Kind : std::uint8_t {
    set_value = 1,
    remove_value = 2,
    remove_source = 3,
    subscribe = 4,
    unsubscribe = 5,
    expire_sessions = 6,
  };
  Kind kind = Kind::set_value;
  std::string_view session, source, value;
  std::optional<std::string_view> key;  // none: the whole source
  std::optional<std::uint64_t> if_revision;
  std::uint64_t up_to = 0;
  std::vector<std::string_view> sessions;
};
[[nodiscard]] Result<CommandView> parse(std::string_view bytes);

}  // namespace iris
