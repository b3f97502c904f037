// Commands: a client's write as a value, and as the bytes of a log entry (drawn in command.cc).
// Any thread; plain values and pure functions. parse() and decode() are total: any bytes give a
// command or an error, never an abort (hazard 81).
// No size of a name or value is checked here: src/api/limits.h does that before a command is
// proposed.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "raft/result.h"
#include "src/machine/feature_level.h"

namespace iris {

struct SetValue {
  std::string source, key, value;
  // Done only while this is the value's revision; 0: only while there is no such key.
  std::optional<std::uint64_t> if_revision;
  bool operator==(const SetValue&) const = default;
};
struct RemoveValue {
  std::string source, key;
  std::optional<std::uint64_t> if_revision;  // as in SetValue
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
  std::optional<std::string> key;  // none: the subscription to the whole source
  bool operator==(const Unsubscribe&) const = default;
};
// Proposed by the leader only, for sessions that no node has served for -session-ttl. A session
// with a Subscribe after `up_to` is spared.
struct ExpireSessions {
  std::uint64_t up_to = 0;  // index that the leader had applied when it decided
  std::vector<std::string> sessions;
  bool operator==(const ExpireSessions&) const = default;
};
using Operation =
    std::variant<SetValue, RemoveValue, RemoveSource, Subscribe, Unsubscribe, ExpireSessions>;

// REQUIRES: no empty source, session or key (src/api/limits.h refuses them). The bytes are those
// that members of a cluster at `level` know.
[[nodiscard]] std::string encode(const Operation& operation, raft::Level level = feature_level);
// The lowest level at which a command of this kind and version is known; empty: no level that this
// build has heard of. 0 where the bytes are too short to have both.
[[nodiscard]] std::optional<raft::Level> level_of(std::string_view command);
// Errc::corrupt: not a command of this version, with the reason.
[[nodiscard]] Result<Operation> decode(std::string_view bytes);

// A command read in place, so that no value is copied when it is applied on each node and matched
// for each stream: its views point into the bytes that it was parsed from. 25 ns instead of the 50
// of decode() with a value of 256 bytes, and of 590 with 64 KiB (iris-microbench parse_set). Fields
// that its kind does not have are empty.
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
// As decode().
[[nodiscard]] Result<CommandView> parse(std::string_view bytes);

}  // namespace iris
