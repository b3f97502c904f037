// Configurations: every question about one (members, roles, addresses, the latest of a log), the
// legal changes (thesis chapter 4), and the history of those in the log, by index, so that cutting
// the log rolls them back.
// Functions: any thread, pure. MembersHistory: one thread; owns the versions since the floor. When
// a change may be made is decided in membership.cc.
#pragma once

#include <deque>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "raft/core.h"
#include "raft/result.h"
#include "raft/types.h"

namespace iris::raft {

// --- One list. REQUIRES: sorted by id. nullptr: not in the list.
[[nodiscard]] const Member* find_member(const std::vector<Member>& list, NodeId id);
[[nodiscard]] const Member* find_by_address(const std::vector<Member>& list,
                                            std::string_view address);
[[nodiscard]] bool contains(const std::vector<Member>& list, NodeId id);

// --- A whole configuration. nullptr: no such member.
// The first in the order voters, outgoing voters, learners for which `holds(member)` is true.
template <class Predicate>
[[nodiscard]] const Member* find_member_if(const Members& members, const Predicate& holds) {
  for (const auto* list : {&members.voters, &members.outgoing, &members.learners}) {
    for (const Member& member : *list) {
      if (holds(member)) return &member;
    }
  }
  return nullptr;
}
[[nodiscard]] const Member* find_member(const Members& members, NodeId id);
// "" where `id` is not a member.
[[nodiscard]] std::string address_of(const Members& members, NodeId id);
// Voters and learners: the members that stay once a joint configuration is left.
[[nodiscard]] const Member* find_staying(const Members& members, NodeId id);
[[nodiscard]] const Member* find_staying_by_address(const Members& members,
                                                    std::string_view address);
// A voter of either list: outgoing voters of a joint configuration still vote.
[[nodiscard]] bool is_voter(const Members& members, NodeId id);
[[nodiscard]] bool is_only_voter(const Members& members, NodeId id);  // a quorum by itself
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
// The configuration that follows a joint one (thesis 4.3).
[[nodiscard]] Members without_outgoing(Members joint);

// --- Configurations in a log.
struct MembersVersion {
  Index index;  // of the entry that made it
  Members members;
};

// nullptr where the entry is not a configuration.
[[nodiscard]] inline const Members* members_in(const Entry& entry) {
  return std::get_if<Members>(&entry.payload);
}

// The latest configuration of a recovered log, committed or not; that of the floor where `entries`
// (any range of EntryPtr) have none.
template <class Entries>
[[nodiscard]] MembersVersion latest_members(const SnapshotMetadata& floor, const Entries& entries) {
  for (auto entry = entries.rbegin(); entry != entries.rend(); ++entry) {
    if (const Members* members = members_in(**entry)) return {(*entry)->id.index, *members};
  }
  return {floor.members_index, floor.members};
}

class MembersHistory {
 public:
  // `members` as of the floor; index 0 and empty where there has never been a configuration.
  MembersHistory(Members members, Index index);

  [[nodiscard]] const MembersVersion& latest() const { return versions_.back(); }
  // The configuration in force at `index`. REQUIRES: not before the floor.
  [[nodiscard]] const MembersVersion& at(Index index) const;
  // Is the node a member of any configuration since the floor?
  [[nodiscard]] bool knows(NodeId id) const;
  // Ascending; the first is the one in force at the floor.
  [[nodiscard]] const std::deque<MembersVersion>& versions() const { return versions_; }

  void append(Index index, Members members);  // REQUIRES: index > latest().index
  bool truncate_from(Index index);            // true where a version was rolled back
  void trim(Index floor);                     // keeps the one in force at `floor`
  void restart(Members members, Index index);

 private:
  std::deque<MembersVersion> versions_;  // never empty
};

}  // namespace iris::raft
