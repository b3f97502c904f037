// DataWork: the jobs of the data lane. Runs them over one batch, writes it, then releases their
// answers.
// Data lane only. Owns the database of the data and the batch. An error raises the alarm; from
// then on jobs and answers are dropped.
#pragma once

#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <utility>
#include <variant>
#include <vector>

#include "raft/result.h"
#include "raft/types.h"
#include "store/alarm.h"
#include "store/data_db.h"
#include "store/disk_budget.h"
#include "store/lane.h"
#include "store/row_batch.h"
#include "store/store.h"

namespace iris::store {

struct BatchJob {
  std::optional<Store::Applied> applied;
  std::function<void(Batch&)> job;
  std::function<void()> done;
};
struct SyncJob {
  raft::Index applied;         // REQUIRES: all up to here is applied
  std::function<void()> then;  // called on this lane, once the data is synced
};
struct HoldJob {
  std::function<void(std::shared_ptr<const View>)> done;  // gets the state of all jobs before this
};
struct FlipJob {
  std::shared_ptr<const Staged> staged;
  std::promise<Result<std::shared_ptr<Family>>> flipped;  // set in any case: the log lane waits
};
// A pressure is a job too: the one that reacts to it.
using DataJob = std::variant<BatchJob, SyncJob, HoldJob, FlipJob, DiskBudget::Pressure>;

class DataWork {
 public:
  // `applied`: what the data records of itself.
  DataWork(std::unique_ptr<DataDb> data, Alarm& alarm, raft::EntryId applied,
           std::size_t row_memory_bytes)
      : data_(std::move(data)), alarm_(alarm), applied_(applied), batch_(alarm, row_memory_bytes) {
    batch_.begin(data_->family());
  }

  void run(std::vector<DataJob>& jobs, Answers& answers);

  [[nodiscard]] DataDb& data() { return *data_; }

  // A batch that is larger is written before all jobs are in it, so that the first of them do not
  // wait for a long tail.
  static constexpr std::size_t batch_bytes_max = 1u << 20;

 private:
  void take(BatchJob& job, Answers& answers);
  void take(SyncJob& job, Answers& answers);
  void take(HoldJob& job, Answers& answers);
  void take(FlipJob& job, Answers& answers);
  void take(DiskBudget::Pressure pressure, Answers& answers);
  void write(Answers& answers);
  [[nodiscard]] bool fine(const Status& status);

  std::unique_ptr<DataDb> data_;
  Alarm& alarm_;
  raft::EntryId applied_;
  RowBatch batch_;
  std::optional<Store::Applied> batch_applied_;  // what the batch will record as applied
  Answers waiting_;                              // answers of jobs in the batch
  bool early_ = false;
};

}  // namespace iris::store
