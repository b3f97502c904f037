// The state machine: the meaning of the commands in the log.
// A pure function of log order: no clock, no randomness, no order of a hash table, no floating
// point (hazard 71). Total: no bytes in an entry can make it fail or abort (hazard 81).
// apply() and purge() run on the data lane, reads on the thread of their caller. Owns nothing.
//
// A revision is the raft index of a command. A source has a generation: the revision of the command
// that made it. A value's key is generation + key, so RemoveSource costs one record however much
// the source holds: its generation goes to the table of tombstones. The keys are deleted once no
// listener can need them to replay the removal.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "raft/types.h"
#include "src/machine/command.h"
#include "store/store.h"

namespace iris {

// Part of the meaning of the log, so the same on every node, and no flags. A Subscribe past one of
// them is answered with Outcome::Code::limit and changes nothing.
inline constexpr std::uint64_t sessions_max = 1'000'000;
inline constexpr std::uint64_t subscriptions_per_session_max = 65'536;
// Of the keys of its rows in Table::subscriptions: each has the names of session, source and key.
// Names may have 64 KiB each, so a bound on their number alone would allow 12 GB (hazard 125).
// From level 1 on; at level 0 they are neither limited nor counted.
inline constexpr std::uint64_t subscription_bytes_per_session_max = 16u << 20;

// The effect of a command, told to the node that proposed or forwarded it.
struct Outcome {
  // Numbers are on the wire: never reuse one.
  enum class Code : std::uint8_t {
    done = 0,
    condition_failed = 1,  // if_revision did not hold
    malformed = 2,         // not a command of this version
    limit = 3,             // too many sessions, or subscriptions of one session or bytes of them
  };
  Code code = Code::done;
  bool changed = false;  // something is different now; false for a removal of an absent key
  // Of the command; with condition_failed that of the value (0: absent).
  std::uint64_t revision = 0;
  bool operator==(const Outcome&) const = default;
};

struct Value {
  std::string bytes;
  std::uint64_t revision = 0;  // of the last SetValue
};
struct ValueView {  // valid until the row function returns
  std::string_view bytes;
  std::uint64_t revision = 0;
};

class Machine {
 public:
  // Applies one committed entry with the meaning of `level`, which is in force there (hazard 71);
  // NoOp and Members change nothing. REQUIRES: understands(entry, the level of this build).
  // A SetValue costs two reads and one write, or two writes for a new key.
  [[nodiscard]] static Outcome apply(const raft::Entry& entry, raft::Level level,
                                     store::Batch& batch);
};

// --- Reads. All but get_value() need a view that may ask the disk.

// Found::incomplete: only the disk knows, and the view may not ask it.
[[nodiscard]] store::Found get_value(const store::View& view, std::string_view source,
                                     std::string_view key, Value& value);

struct Page {
  std::string prefix;       // of the names that are listed
  std::string start_after;  // exclusive; empty: from the beginning
  std::uint64_t limit = 0;  // 0: no limit
};
using KeyRow = std::function<bool(std::string_view key, const ValueView& value)>;
// These call `row` in byte order until it returns false, as do all lists below.
void list_sources(const store::View& view, const Page& page,
                  const std::function<bool(std::string_view source)>& row);
void list_keys(const store::View& view, std::string_view source, const Page& page,
               const KeyRow& row);

// --- For listeners, which replay the log. A node keeps the tombstones and no-ops of the commands
// after purged(), so a replay may begin there.

// The tombstone of a RemoveSource that had an effect; list_generation() lists the keys it removed.
struct Tombstone {
  std::uint64_t generation = 0;
  std::uint64_t keys = 0;
  std::string source;
};
[[nodiscard]] std::optional<Tombstone> find_tombstone(const store::View& view,
                                                      std::uint64_t revision);
void list_generation(const store::View& view, std::uint64_t generation, const Page& page,
                     const KeyRow& row);
[[nodiscard]] bool generation_has(const store::View& view, std::uint64_t generation,
                                  std::string_view key);
// No-ops (of clients, unlike raft::NoOp): revisions after `after` of commands that changed no
// value, in order: a failed if_revision, a removal of an absent key or source, bytes that are not a
// command.
void list_no_ops(const store::View& view, std::uint64_t after,
                 const std::function<bool(std::uint64_t revision)>& row);
[[nodiscard]] std::uint64_t purged(const store::View& view);

// Deletes tombstones, with their keys, and no-ops up to `floor`, in the order of the log, at most
// records_max of them. True: there may be more to delete. Not a command: each node does it after
// its own log was trimmed. REQUIRES: floor is applied, records_max > 0.
[[nodiscard]] bool purge(store::Batch& batch, std::uint64_t floor, std::size_t records_max);

// --- Sessions.
struct SubscriptionView {  // valid until the row function returns
  std::string_view source;
  std::optional<std::string_view> key;  // none: the whole source
  std::uint64_t since = 0;              // revision of the Subscribe; updates after it are sent
};
struct SessionInfo {
  std::uint64_t subscribed = 0;     // revision of its last Subscribe, a repeated one included
  std::uint64_t subscriptions = 0;  // how many it has now
  // Revision of the Subscribe that made it; 0: made before this was recorded.
  std::uint64_t born = 0;
  // See subscription_bytes_per_session_max; none: no Subscribe or Unsubscribe since it is kept.
  std::optional<std::uint64_t> bytes = std::nullopt;
};
[[nodiscard]] std::optional<SessionInfo> find_session(const store::View& view,
                                                      std::string_view session);
void list_sessions(
    const store::View& view, const Page& page,
    const std::function<bool(std::string_view session, const SessionInfo& info)>& row);
// The subscriptions of one session, sorted by size of the source's name, source, key.
void list_subscriptions(const store::View& view, std::string_view session,
                        const std::function<bool(const SubscriptionView& subscription)>& row);

}  // namespace iris
