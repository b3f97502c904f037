// The state machine: what the commands in the log mean. A pure function of log order: no clock, no
// random, no iteration order of a hash, no floating point (hazard 71); and total: no bytes in an
// entry can make it fail or abort (hazard 81).
// apply() runs on the data lane, everything else on the thread that calls it. Owns nothing but its
// batch.
//
// Sources are generations: the raft index of the command that made the source. A value's key is
// generation + key, so RemoveSource costs one record, whatever it holds; its generation goes to the
// table `graves` until the log no longer needs it for listeners, then its keys are deleted.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "raft/result.h"
#include "raft/types.h"
#include "store/store.h"

namespace iris {

// --- Commands. Names are checked at the door (src/limits.h); an over-long one is applied all the
// same.
struct SetValue {
  std::string source, key, value;
  std::optional<std::uint64_t> if_revision;  // 0: must not exist
};
struct RemoveValue {
  std::string source, key;
  std::optional<std::uint64_t> if_revision;
};
struct RemoveSource {
  std::string source;
};
struct Subscribe {
  std::string session, source;
  std::optional<std::string> key;  // none: the whole source
};
struct Unsubscribe {
  std::string session, source;
  std::optional<std::string> key;
};
// Proposed by the leader only, for sessions no node has served for -session-ttl. A session that
// subscribed to something after `up_to` (what the leader had applied when it decided) is spared.
struct ExpireSessions {
  std::uint64_t up_to = 0;
  std::vector<std::string> sessions;
};
using Operation =
    std::variant<SetValue, RemoveValue, RemoveSource, Subscribe, Unsubscribe, ExpireSessions>;

// The bytes of a command (layout drawn in machine.cc). decode() takes anything.
[[nodiscard]] std::string encode(const Operation& operation);
[[nodiscard]] Result<Operation> decode(std::string_view bytes);

// What a command did. Travels to the node that asked.
struct Outcome {
  enum class Code : std::uint8_t {
    done = 0,
    condition_failed = 1,  // if_revision did not hold
    malformed = 2,         // not a command of this version
    limit = 3,             // too many sessions, or subscriptions of one session
  };
  Code code = Code::done;
  bool changed = false;  // something is different now (a removal of what was absent: false)
  std::uint64_t revision =
      0;  // the raft index of the command; on condition_failed the value's revision (0: absent)
  bool operator==(const Outcome&) const = default;
};

struct Value {
  std::string bytes;
  std::uint64_t revision = 0;  // of the last SetValue
};
struct ValueView {  // good until the row function returns
  std::string_view bytes;
  std::uint64_t revision = 0;
};

class Machine {
 public:
  // One committed entry; Empty and Members change nothing.
  [[nodiscard]] static Outcome apply(const raft::Entry& entry, store::Batch& batch);
};

// --- Reads, over any view (queries never write).
// incomplete where the view may not ask the disk.
[[nodiscard]] store::Found get_value(const store::View& view, std::string_view source,
                                     std::string_view key, Value& value);

struct Page {
  std::string prefix;
  std::string start_after;  // exclusive; empty: from the beginning
  std::uint64_t limit = 0;  // 0: no limit
};
// Calls `row` in byte order until it returns false.
void list_sources(const store::View& view, const Page& page,
                  const std::function<bool(std::string_view source)>& row);
void list_keys(const store::View& view, std::string_view source, const Page& page,
               const std::function<bool(std::string_view key, const ValueView& value)>& row);

}  // namespace iris
