// NewCluster: makes the data of an old cluster the data of a new one: what a restored backup and a
// node that has lost its quorum have in common. For programs that are not serving: blocking, no
// loop, no lanes.
// Any thread. Owns nothing between the calls. Each error is one sentence that names the path.
//
// A new cluster lacks the last changes of the old one. If it numbered its own changes from where
// its data ends, it would give out revisions that the old cluster gave to other changes, and a
// listener that resumes with an old revision would take the new changes for the ones it knows
// (hazard 102). So a new history begins far ahead, at a revision that was never given out: the log
// of the new cluster reaches back to no old revision, and each such listener gets RESYNC. Values
// keep the revisions they have.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "raft/result.h"
#include "raft/types.h"
#include "store/folder.h"

namespace iris::store {

class Batch;

// How far ahead a new history begins, where the clock is not believed.
inline constexpr std::uint64_t history_gap = 1'000'000'000;
// The clock is believed from the begin of 2026, before which Iris was not there, until the begin of
// 2200, so that revisions stay below 2^53 and are exact in a JSON number. In microseconds since
// 1970.
inline constexpr std::uint64_t clock_from_us = 1'767'225'600'000'000;
inline constexpr std::uint64_t clock_until_us = 7'258'118'400'000'000;

// The last index before the new history of a cluster whose data ends at `known`: the time `now_us`
// in microseconds since 1970. That is ahead of every revision given out at fewer than 1,000,000
// changes a second, also by another cluster that was made of the same data earlier. Where the clock
// is not believed, or is not ahead of `known`, it is history_gap behind `known`.
[[nodiscard]] raft::Index new_history(raft::Index known, std::uint64_t now_us);

// A configuration of one voter.
[[nodiscard]] raft::Members sole_voter(raft::NodeId node, const std::string& address,
                                       raft::Level level);

struct NewCluster {
  raft::NodeId node;
  raft::ClusterId cluster;  // random: no node of the old cluster talks to it
  raft::EntryId last;       // the log goes on behind this entry
};

struct Recover {
  // The address of the node from now on, given the one that the old configuration has for it (empty
  // where it has none).
  std::function<std::string(const std::string& recorded)> address_of;
  // May this build apply the entry? Asked for each before any is applied; its error is returned.
  std::function<Status(const raft::Entry& entry)> understands = nullptr;
  // Applies an entry, with the meaning of the level in force there: Machine::apply().
  std::function<void(const raft::Entry& entry, raft::Level level, Batch& batch)> apply;
  raft::Level level_max = any_level;  // a folder above it is refused
  std::uint64_t now_us = 0;           // for new_history()
  // For tests of crashes: called after "noted" and "data applied".
  std::function<void(std::string_view step)> on_step = nullptr;
};

// After a lost quorum: the node of `folder` forgets the other members and becomes a cluster of its
// own, with a new cluster id. All entries of its log count as committed and are applied; changes
// that only the other members had are lost. Its log begins anew, empty, with a new history.
// Durable at return. A crash leaves the old state or the new one, as for an installation
// (recovery.h).
// REQUIRES (not checked here): the other members never run again, or there are two clusters.
// The feature level stays. Errc::refused: the node was never a member of a cluster.
// Errc::not_found: `folder` is not the folder of a node. Else as open_rocks().
Result<NewCluster> force_new_cluster(const std::string& folder, const Recover& how);

}  // namespace iris::store
