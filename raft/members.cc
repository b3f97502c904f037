#include "raft/members.h"

#include <algorithm>
#include <string>
#include <utility>

#include "raft/check.h"

namespace iris::raft {
namespace {

bool by_id(const Member& left, const Member& right) { return left.id < right.id; }

void insert_sorted(std::vector<Member>& list, Member member) {
  list.insert(std::upper_bound(list.begin(), list.end(), member, by_id), std::move(member));
}

// REQUIRES: `id` is in the list.
Member take(std::vector<Member>& list, NodeId id) {
  const Member* found = find_member(list, id);
  CHECK(found != nullptr);
  Member member = *found;
  list.erase(list.begin() + (found - list.data()));
  return member;
}

bool sorted_without_repeats(const std::vector<Member>& list) {
  return std::adjacent_find(list.begin(), list.end(), [](const Member& left, const Member& right) {
           return !(left.id < right.id);
         }) == list.end();
}

// Both sets of voters decide until the joint configuration is committed (thesis 4.3).
Members joint_from(const Members& now, Members next) {
  next.outgoing = now.voters;
  return next;
}

unexpected<Error> list_is_full(const char* what) {
  return fail(Errc::limit, "the cluster has " + std::to_string(members_per_list_max) + " " + what +
                               ", and no more are allowed (members_per_list_max)");
}

Result<Members> add_learner(const Members& now, const AddLearner& change) {
  if (change.member.id == NodeId{}) return fail(Errc::invalid_argument, "the new member has no id");
  if (change.member.address.empty()) {
    return fail(Errc::invalid_argument, "the new member has no address");
  }
  if (is_member(now, change.member.id)) return fail(Errc::refused, "it is a member already");
  if (now.learners.size() >= members_per_list_max) return list_is_full("learners");
  Members next = now;
  insert_sorted(next.learners, change.member);
  return next;
}

Result<Members> promote(const Members& now, const Promote& change) {
  if (contains(now.voters, change.id)) return fail(Errc::refused, "it is a voter already");
  if (!is_learner(now, change.id)) return fail(Errc::not_found, "it is not a member");
  if (!change.replaces && now.voters.size() >= members_per_list_max) return list_is_full("voters");
  Members next = now;
  insert_sorted(next.voters, take(next.learners, change.id));
  if (change.replaces) {
    if (*change.replaces == change.id || !contains(now.voters, *change.replaces)) {
      return fail(Errc::not_found, "the member to replace is not a voter");
    }
    take(next.voters, *change.replaces);
  }
  return joint_from(now, std::move(next));
}

Result<Members> remove(const Members& now, const Remove& change) {
  Members next = now;
  if (is_learner(now, change.id)) {
    take(next.learners, change.id);
    return next;
  }
  if (!contains(now.voters, change.id)) return fail(Errc::not_found, "it is not a member");
  if (now.voters.size() == 1) {
    return fail(Errc::refused, "it is the only voter: a cluster without voters cannot decide");
  }
  take(next.voters, change.id);
  return joint_from(now, std::move(next));
}

Result<Members> set_address(const Members& now, const SetAddress& change) {
  if (change.address.empty()) return fail(Errc::invalid_argument, "the new address is empty");
  if (!is_member(now, change.id)) return fail(Errc::not_found, "it is not a member");
  Members next = now;
  for (std::vector<Member>* list : {&next.voters, &next.learners}) {
    for (Member& member : *list) {
      if (member.id == change.id) member.address = change.address;
    }
  }
  if (next == now) return fail(Errc::refused, "it has that address already");
  return next;
}

Result<Members> raise_level(const Members& now, const RaiseLevel& change) {
  if (change.level <= now.level) {
    return fail(Errc::refused,
                "the cluster is at feature level " + std::to_string(now.level.value) + " already");
  }
  Members next = now;
  next.level = change.level;
  return next;
}

}  // namespace

const Member* find_member(const std::vector<Member>& list, NodeId id) {
  const auto found = std::lower_bound(list.begin(), list.end(), Member{id, {}}, by_id);
  return found != list.end() && found->id == id ? &*found : nullptr;
}

const Member* find_by_address(const std::vector<Member>& list, std::string_view address) {
  const auto found = std::find_if(list.begin(), list.end(), [address](const Member& member) {
    return member.address == address;
  });
  return found != list.end() ? &*found : nullptr;
}

bool contains(const std::vector<Member>& list, NodeId id) {
  return find_member(list, id) != nullptr;
}

const Member* find_member(const Members& members, NodeId id) {
  if (const Member* staying = find_staying(members, id)) return staying;
  return find_member(members.outgoing, id);
}

std::string address_of(const Members& members, NodeId id) {
  const Member* member = find_member(members, id);
  return member != nullptr ? member->address : std::string();
}

const Member* find_staying(const Members& members, NodeId id) {
  if (const Member* voter = find_member(members.voters, id)) return voter;
  return find_member(members.learners, id);
}

const Member* find_staying_by_address(const Members& members, std::string_view address) {
  if (const Member* voter = find_by_address(members.voters, address)) return voter;
  return find_by_address(members.learners, address);
}

bool is_voter(const Members& members, NodeId id) {
  return contains(members.voters, id) || contains(members.outgoing, id);
}

bool is_only_voter(const Members& members, NodeId id) {
  return !is_joint(members) && members.voters.size() == 1 && members.voters.front().id == id;
}

bool is_learner(const Members& members, NodeId id) { return contains(members.learners, id); }

bool is_member(const Members& members, NodeId id) {
  return is_voter(members, id) || is_learner(members, id);
}

bool is_joint(const Members& members) { return !members.outgoing.empty(); }

std::vector<Member> all_members(const Members& members) {
  std::vector<Member> all;
  all.reserve(members.voters.size() + members.outgoing.size() + members.learners.size());
  for (const auto* list : {&members.voters, &members.outgoing, &members.learners}) {
    all.insert(all.end(), list->begin(), list->end());
  }
  std::stable_sort(all.begin(), all.end(), by_id);
  const auto same = [](const Member& left, const Member& right) { return left.id == right.id; };
  all.erase(std::unique(all.begin(), all.end(), same), all.end());
  return all;
}

bool well_formed(const Members& members) {
  if (members.voters.empty()) return false;
  for (const auto* list : {&members.voters, &members.outgoing, &members.learners}) {
    if (!sorted_without_repeats(*list)) return false;
  }
  return std::none_of(members.learners.begin(), members.learners.end(),
                      [&members](const Member& learner) { return is_voter(members, learner.id); });
}

Result<Members> changed(const Members& now, const MemberChange& change) {
  CHECK(!is_joint(now));
  struct Apply {
    const Members& now;
    Result<Members> operator()(const AddLearner& change) const { return add_learner(now, change); }
    Result<Members> operator()(const Promote& change) const { return promote(now, change); }
    Result<Members> operator()(const Remove& change) const { return remove(now, change); }
    Result<Members> operator()(const SetAddress& change) const { return set_address(now, change); }
    Result<Members> operator()(const RaiseLevel& change) const { return raise_level(now, change); }
  };
  return std::visit(Apply{now}, change);
}

Members without_outgoing(Members joint) {
  joint.outgoing.clear();
  return joint;
}

MembersHistory::MembersHistory(Members members, Index index) {
  versions_.push_back({index, std::move(members)});
}

bool MembersHistory::knows(NodeId id) const {
  return std::any_of(versions_.begin(), versions_.end(), [id](const MembersVersion& version) {
    return is_member(version.members, id);
  });
}

const MembersVersion& MembersHistory::at(Index index) const {
  const auto version =
      std::find_if(versions_.rbegin(), versions_.rend(),
                   [index](const MembersVersion& candidate) { return candidate.index <= index; });
  CHECK(version != versions_.rend());
  return *version;
}

void MembersHistory::append(Index index, Members members) {
  CHECK(index > versions_.back().index);
  versions_.push_back({index, std::move(members)});
}

bool MembersHistory::truncate_from(Index index) {
  bool rolled_back = false;
  while (versions_.size() > 1 && versions_.back().index >= index) {
    versions_.pop_back();
    rolled_back = true;
  }
  CHECK(versions_.back().index < index);
  return rolled_back;
}

void MembersHistory::trim(Index floor) {
  while (versions_.size() > 1 && versions_[1].index <= floor) versions_.pop_front();
}

void MembersHistory::restart(Members members, Index index) {
  versions_.clear();
  versions_.push_back({index, std::move(members)});
}

}  // namespace iris::raft
