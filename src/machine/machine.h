// The state machine: what the commands in the log mean. A pure function of log order: no clock, no
// random, no iteration order of a hash, no floating point (hazard 71); and total: no bytes in an
// entry can make it fail or abort (hazard 81).
// apply() and purge() run on the data lane, reads on the thread that calls them. Owns nothing but
// its batch.
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

#include "raft/types.h"
#include "src/machine/command.h"
#include "store/store.h"

namespace iris {

// Part of what the log means, so they are the same on every node and no flags: a Subscribe past one
// of them is answered Outcome::Code::limit and changes nothing.
inline constexpr std::uint64_t sessions_max = 1'000'000;
inline constexpr std::uint64_t subscriptions_per_session_max = 65'536;

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
  // One committed entry; NoOp and Members change nothing.
  // Costs two reads and one write for a SetValue of an existing key, two and two for a new key.
  [[nodiscard]] static Outcome apply(const raft::Entry& entry, store::Batch& batch);
};

// --- Reads, over any view (queries never write). All but get_value need a view that may ask the
// disk.
// incomplete where the view may not ask the disk.
[[nodiscard]] store::Found get_value(const store::View& view, std::string_view source,
                                     std::string_view key, Value& value);

struct Page {
  std::string prefix;
  std::string start_after;  // exclusive; empty: from the beginning
  std::uint64_t limit = 0;  // 0: no limit
};
using KeyRow = std::function<bool(std::string_view key, const ValueView& value)>;
// Calls `row` in byte order until it returns false.
void list_sources(const store::View& view, const Page& page,
                  const std::function<bool(std::string_view source)>& row);
void list_keys(const store::View& view, std::string_view source, const Page& page,
               const KeyRow& row);

// --- What listeners need to replay the log. A node keeps graves and voids of the commands after
// purged(), so replay may begin there.

// What an effective RemoveSource took away. Its keys are list_generation's and generation_value's.
struct Grave {
  std::uint64_t generation = 0;
  std::uint64_t keys = 0;
  std::string source;
};
[[nodiscard]] std::optional<Grave> find_grave(const store::View& view, std::uint64_t revision);
void list_generation(const store::View& view, std::uint64_t generation, const Page& page,
                     const KeyRow& row);
[[nodiscard]] bool generation_has(const store::View& view, std::uint64_t generation,
                                  std::string_view key);
// Indexes of commands after `after` that changed no value, in order: a failed if_revision, a
// removal of what was absent, bytes that are no command.
void list_voids(const store::View& view, std::uint64_t after,
                const std::function<bool(std::uint64_t revision)>& row);
[[nodiscard]] std::uint64_t purged(const store::View& view);

// Forgets graves, with their keys, and voids up to `floor`, in the order of the log and at most
// records_max of them; true when there may be more to do. Not a command: each node does it when its
// own log is trimmed. REQUIRES: floor is applied, records_max > 0.
[[nodiscard]] bool purge(store::Batch& batch, std::uint64_t floor, std::size_t records_max);

// --- Sessions.
struct SubscriptionView {  // good until the row function returns
  std::string_view source;
  std::optional<std::string_view> key;  // none: the whole source
  std::uint64_t since = 0;              // revision of the Subscribe; updates after it are due
};
struct SessionInfo {
  std::uint64_t subscribed = 0;     // revision of its last Subscribe, also of a repeated one
  std::uint64_t subscriptions = 0;  // how many it has now
  std::uint64_t born = 0;  // revision of the Subscribe that made it; 0: of before this was kept
};
[[nodiscard]] std::optional<SessionInfo> find_session(const store::View& view,
                                                      std::string_view session);
void list_sessions(
    const store::View& view, const Page& page,
    const std::function<bool(std::string_view session, const SessionInfo& info)>& row);
// Whole sources and keys of one session, sorted by source size, source, key.
void list_subscriptions(const store::View& view, std::string_view session,
                        const std::function<bool(const SubscriptionView& subscription)>& row);

}  // namespace iris
