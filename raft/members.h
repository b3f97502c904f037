// Configurations: who is in one, which changes are legal (thesis chapter 4), and the history of
// those in the log, by index, so that cutting the log rolls them back.
// One thread. Owns the versions since the floor; never decides when a change may be made (that is
// membership.cc) and never sends anything.
#pragma once

#include <deque>
#include <vector>

#include "raft/core.h"
#include "raft/result.h"
#include "raft/types.h"

namespace iris::raft {

// nullptr where `id` is not in the list.
[[nodiscard]] const Member* find_member(const std::vector<Member>& list, NodeId id);
// A voter of either list: in a joint configuration those who leave still vote.
[[nodiscard]] bool is_voter(const Members& members, NodeId id);
[[nodiscard]] bool is_learner(const Members& members, NodeId id);
[[nodiscard]] bool is_member(const Members& members, NodeId id);
[[nodiscard]] bool is_joint(const Members& members);
// Every member once, in order of id.
[[nodiscard]] std::vector<Member> all_members(const Members& members);
// Lists sorted, without repeats, learners apart from voters, and at least one voter.
[[nodiscard]] bool well_formed(const Members& members);

// `now` after `change`; joint where the set of voters changes. Errc::not_found, refused, limit, or
// invalid_argument with the reason. REQUIRES: !is_joint(now).
[[nodiscard]] Result<Members> changed(const Members& now, const MemberChange& change);
// What follows a joint configuration (thesis 4.3).
[[nodiscard]] Members without_outgoing(Members joint);

class MembersHistory {
 public:
  struct Version {
    Index index;  // of the entry that made it
    Members members;
  };

  // `members` as of the floor; index 0 and empty where there has never been a configuration.
  MembersHistory(Members members, Index index);

  [[nodiscard]] const Version& latest() const { return versions_.back(); }
  // The configuration in force at `index`. REQUIRES: not before the floor.
  [[nodiscard]] const Version& at(Index index) const;
  // Ascending; the first is the one in force at the floor.
  [[nodiscard]] const std::deque<Version>& versions() const { return versions_; }

  void append(Index index, Members members);  // REQUIRES: index > latest().index
  bool truncate_from(Index index);            // true where a version was rolled back
  void trim(Index floor);                     // keeps what is in force at `floor`
  void restart(Members members, Index index);

 private:
  std::deque<Version> versions_;  // never empty
};

}  // namespace iris::raft
