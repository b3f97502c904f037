// AppliedMarks: what a family records of itself (the applied entry, the configuration) in each
// state of it that can be pinned, known without a read: the loop may not wait for the disk.
// RocksDB numbers each change of a row, and a batch shows as a whole once its last number is
// reached. The data lane says that number before it writes, so a pinned state's own number tells
// which batches it contains.
// Any thread, but where a line says otherwise. Owns the last two marks.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>

#include "raft/members.h"
#include "raft/types.h"

namespace iris::store {

struct AppliedMark {
  raft::EntryId last;
  std::shared_ptr<const raft::MembersVersion> members;
  [[nodiscard]] raft::SnapshotMetadata metadata() const {
    return {last, members->members, members->index};
  }
};

class AppliedMarks {
 public:
  // What the family says now. Before all calls below.
  void begin(const raft::SnapshotMetadata& now);

  // Data lane. States from `sequence` on have applied `last`; and `members`, where they changed.
  // REQUIRES: `sequence` is higher than at the call before, whose own is reached.
  void will_be(std::uint64_t sequence, raft::EntryId last,
               std::shared_ptr<const raft::MembersVersion> members);

  // `pin` pins a state and returns its sequence number; the mark is that state's. No write becomes
  // older than the last two meanwhile.
  [[nodiscard]] AppliedMark pin(const std::function<std::uint64_t()>& pin) const;

 private:
  struct Shown {
    std::uint64_t from = 0;  // sequence number
    AppliedMark mark;
  };
  mutable std::mutex mutex_;
  Shown before_;
  Shown newest_;  // its write may be under way
};

}  // namespace iris::store
