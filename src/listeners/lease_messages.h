// Lease messages: what nodes tell each other about sessions (leases.h), as values. Any thread.
//
// A list of changes is told as differences (differences.h): each change has a number, which counts
// up from 1; a message has those after `after` up to `up_to`. The receiver says which it knows, and
// whether one that came needs others that did not.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "raft/types.h"

namespace iris {

// A session without a stream, and since when.
struct SilentSession {
  std::string session;
  std::uint64_t silent_ms = 0;
  bool operator==(const SilentSession&) const = default;
};
struct SilentNode {
  raft::NodeId node;
  std::uint64_t silent_ms = 0;
  bool operator==(const SilentNode&) const = default;
};

// What changed among the sessions that a node serves, for the leader of a term; those that it
// serves stand in SessionsServed::sessions.
struct ServedChanges {
  raft::Term term;
  std::uint64_t life = 0;  // of the sender; each begins with change 1
  std::uint64_t after = 0;
  std::uint64_t up_to = 0;
  bool latest = false;               // there is no change after `up_to`
  std::vector<SilentSession> ended;  // not served here any more
  std::uint64_t sent = 0;            // in the sender's time; comes back in LeaseChanges
  std::uint64_t known = 0;           // of the leader's LeaseChanges
  bool missed = false;               // likewise
  bool operator==(const ServedChanges&) const = default;
};
// What changed among the leases of the leader of a term, for a node that may lead after it.
struct LeaseChanges {
  raft::Term term;
  std::uint64_t after = 0;
  std::uint64_t up_to = 0;
  bool latest = false;
  std::vector<SilentSession> silent;  // that no node serves
  std::vector<std::string> served;    // again
  std::vector<SilentNode> nodes;      // not heard for a while
  std::uint64_t life = 0;             // of the receiver: its changes that are known
  std::uint64_t known = 0;
  bool missed = false;
  std::uint64_t sent = 0;  // of the last ServedChanges that came
  bool operator==(const LeaseChanges&) const = default;
};
// A former build knows `sessions` alone: all that a node serves, told again and again. So `leases`
// is sent only to a node that has sent `changes`, and none that has not is relied on to keep them.
struct SessionsServed {
  std::vector<std::string> sessions;
  std::optional<ServedChanges> changes = std::nullopt;
  std::optional<LeaseChanges> leases = std::nullopt;
};

}  // namespace iris
