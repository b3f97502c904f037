// The values of Raft, each a type of its own: no bare integer in a public interface.
// Any thread; plain values. Independent of wire and file formats.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace iris::raft {

// A 64-bit number that mixes with no other.
template <class Tag>
struct Number {
  std::uint64_t value = 0;
  auto operator<=>(const Number&) const = default;  // NOLINT(modernize-use-nullptr): a false alarm
  [[nodiscard]] Number next() const { return {value + 1}; }
};

// Random, made once with the data folder and kept in it: a node whose folder was wiped is a new
// node, and an address is not an identity. 0: none.
using NodeId = Number<struct NodeIdTag>;
// Random, made when a cluster is bootstrapped or restored. 0: this node belongs to none yet.
using ClusterId = Number<struct ClusterIdTag>;
using Term = Number<struct TermTag>;
using Index = Number<struct IndexTag>;    // of a log entry; the first is 1, 0 is "before the log"
using Ticket = Number<struct TicketTag>;  // of a job for the log lane; increases by one
using Round = Number<struct RoundTag>;    // of heartbeats that confirm leadership (thesis 6.4)
using ReadId = Number<struct ReadIdTag>;  // of one read that waits for its round
// A feature level of the cluster: which meaning the host gives to the entries of the log. Opaque to
// Raft, which only sees to it that all logs agree on where it rises.
using Level = Number<struct LevelTag>;

struct EntryId {
  Term term;
  Index index;
  auto operator<=>(const EntryId&) const = default;
};

// The candidate's log is at least as up to date as one's own: a later last term wins, then the
// longer log (paper 5.4.1). Both arguments are last entries.
[[nodiscard]] inline bool up_to_date(EntryId candidate, EntryId own) {
  return candidate.term != own.term ? candidate.term > own.term : candidate.index >= own.index;
}

struct Member {
  NodeId id;
  std::string address;  // host:port of the raft port
  bool operator==(const Member&) const = default;
};

// Limit of one list of a configuration: a longer one would fit no message and never be replicated.
inline constexpr std::size_t members_per_list_max = 127;

// One whole configuration. Joint while `outgoing` is not empty (thesis 4.3): then both majorities
// are needed. Each list is sorted by id; a learner is in neither voter list. raft/members.h answers
// questions about it.
struct Members {
  std::vector<Member> voters;
  std::vector<Member> outgoing;
  std::vector<Member> learners;
  Level level{};  // in force from this entry on; never falls from one configuration to the next
  bool operator==(const Members&) const = default;
};

struct NoOp {  // appended by a new leader to commit its predecessors' entries (paper 5.4.2)
  bool operator==(const NoOp&) const = default;
};
using Command = std::string;  // opaque to Raft
using Payload = std::variant<NoOp, Command, Members>;

struct Entry {
  EntryId id;
  Payload payload;
  bool operator==(const Entry&) const = default;
};
using EntryPtr = std::shared_ptr<const Entry>;

// The size of an entry as byte limits count it: its command plus a fixed overhead.
inline constexpr std::size_t entry_overhead_bytes = 64;
[[nodiscard]] inline std::size_t entry_bytes(const Entry& entry) {
  const auto* command = std::get_if<Command>(&entry.payload);
  return entry_overhead_bytes + (command != nullptr ? command->size() : 0);
}

// Term and vote must be durable before any message that depends on them is sent (paper figure 2).
// `led` is written along with the next change. A node that may have been removed asks in that term
// (RemovalNotice in message.h), since `term` may be one that nobody ever led.
struct HardState {
  Term term;
  NodeId vote;  // 0: none in this term
  Term led{};   // the latest term whose leader it heard or was: no later leader admitted it
  bool operator==(const HardState&) const = default;
};

// Snapshot metadata: the last entry that it contains and the configuration in force there.
struct SnapshotMetadata {
  EntryId last;
  Members members;
  Index members_index;  // of the entry that made `members`
  bool operator==(const SnapshotMetadata&) const = default;
};

// One job for the log lane (the host's log writer). Jobs are done in ticket order; each becomes
// durable as a whole.
struct LogWrite {
  Ticket ticket;
  std::optional<HardState> state;
  std::optional<SnapshotMetadata>
      install;                    // staged data replaces the state; the log restarts after it
  std::vector<EntryPtr> entries;  // replaces everything from entries.front() on
};

// The state that storage found at start. `entries` are contiguous, from floor.last.index + 1 on.
struct Recovered {
  NodeId self;
  HardState state;
  SnapshotMetadata floor;  // index 0 and no members: a node that has never had a log
  std::vector<EntryPtr> entries;
  Index applied;  // REQUIRES: floor.last.index <= applied <= last index
};

}  // namespace iris::raft

template <class Tag>
struct std::hash<iris::raft::Number<Tag>> {
  std::size_t operator()(const iris::raft::Number<Tag>& number) const noexcept {
    return std::hash<std::uint64_t>{}(number.value);
  }
};
