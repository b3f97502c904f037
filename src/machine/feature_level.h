// FeatureLevel: which meanings of the log this build knows. Members of one cluster may be of
// different builds while it is upgraded; all of them give an entry the meaning of the level that is
// in force at its place in the log (raft::Members::level), so they come to the same rows.
// Any thread; a constant and pure functions.
//
// A node of a lower level than its cluster's stops, and is refused by the others: it would give
// entries another meaning. The leader raises the level once all members know the higher one; it
// never falls. Therefore a change of what a command does, a new kind of command, and a new kind of
// message that others must understand are each a new level here, and apply from that level on.
//
//   0  builds from before there were levels
//   1  a session's subscriptions are limited in bytes, and its row says how many it has
//      (subscription_bytes_per_session_max in machine.h); members compare hashes of their data
//      (src/node/state_check.h)
#pragma once

#include "raft/result.h"
#include "raft/types.h"

namespace iris {

inline constexpr raft::Level feature_level{1};

// May a build that knows `own` work with what is of `level`? Errc::unimplemented, with a sentence
// that says what to do.
[[nodiscard]] Status check_level(raft::Level level, raft::Level own);
// May it apply this entry? Likewise; also where it is a command of a kind or version that only a
// higher level has. A command that is malformed in any other way is understood: it does nothing.
[[nodiscard]] Status understands(const raft::Entry& entry, raft::Level own);

}  // namespace iris
