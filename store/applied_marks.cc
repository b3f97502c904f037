#include "store/applied_marks.h"

#include <utility>

#include "raft/check.h"

namespace iris::store {

void AppliedMarks::begin(const raft::SnapshotMetadata& now) {
  auto members = std::make_shared<const raft::MembersVersion>(
      raft::MembersVersion{now.members_index, now.members});
  const std::lock_guard lock(mutex_);
  newest_ = {0, {now.last, std::move(members)}};
  before_ = newest_;
}

void AppliedMarks::will_be(std::uint64_t sequence, raft::EntryId last,
                           std::shared_ptr<const raft::MembersVersion> members) {
  const std::lock_guard lock(mutex_);
  CHECK(sequence > newest_.from);
  if (members == nullptr) members = newest_.mark.members;
  before_ = std::exchange(newest_, {sequence, {last, std::move(members)}});
}

AppliedMark AppliedMarks::pin(const std::function<std::uint64_t()>& pin) const {
  const std::lock_guard lock(mutex_);
  return pin() >= newest_.from ? newest_.mark : before_.mark;
}

}  // namespace iris::store
