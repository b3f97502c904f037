// Linearizable reads (thesis 6.4): each waits for a round of heartbeats, whose answers prove that
// this node still led when the round began, and is granted at the commit index of that moment.
// One thread. Owns the waiting reads; lives as long as one leadership.
#pragma once

#include <deque>
#include <utility>
#include <vector>

#include "raft/core.h"
#include "raft/types.h"

namespace iris::raft {

class Reads {
 public:
  void add(ReadId id) { unsent_.push_back(id); }
  [[nodiscard]] bool has_unsent() const { return !unsent_.empty(); }
  [[nodiscard]] bool empty() const { return unsent_.empty() && waiting_.empty(); }

  // All unsent reads share `round`. REQUIRES: `round` begins now, so that no answer to it can be
  // older than the reads (hazard 74).
  void send(Round round, Index commit) {
    waiting_.push_back({round, commit, std::move(unsent_)});
    unsent_.clear();
  }

  // A quorum answered `round`, which confirms it and all earlier rounds.
  void grant(Round round, std::vector<ReadGrant>& grants) {
    while (!waiting_.empty() && waiting_.front().round <= round) {
      for (const ReadId id : waiting_.front().ids) {
        grants.push_back({id, true, waiting_.front().commit});
      }
      waiting_.pop_front();
    }
  }

  void refuse_all(std::vector<ReadGrant>& grants) {
    for (const Batch& batch : waiting_) {
      for (const ReadId id : batch.ids) grants.push_back({id, false, {}});
    }
    for (const ReadId id : unsent_) grants.push_back({id, false, {}});
    waiting_.clear();
    unsent_.clear();
  }

 private:
  struct Batch {
    Round round;
    Index commit;
    std::vector<ReadId> ids;
  };
  std::vector<ReadId> unsent_;
  std::deque<Batch> waiting_;
};

}  // namespace iris::raft
