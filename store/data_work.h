// DataWork: what the data lane does with its jobs: runs them over one batch, writes it, then lets
// their answers go.
// Data lane only. Owns the data and the batch. After the first refusal it drops everything (the
// alarm has told).
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
#include "store/lane.h"
#include "store/disk_budget.h"
#include "store/row_batch.h"
#include "store/store.h"

namespace iris::store {

struct BatchJob {
  std::optional<Store::Applied> applied;
  std::function<void(Batch&)> job;
  std::function<void()> done;
};
struct SyncJob {
  raft::Index applied;         // REQUIRES: this much is applied
  std::function<void()> then;  // on this lane, once the data is synced
};
struct FlipJob {
  std::shared_ptr<const Staged> staged;
  std::promise<Result<std::shared_ptr<Family>>> flipped;  // kept in any case
};
// A job as well: what is to be done under this pressure.
using DataJob = std::variant<BatchJob, SyncJob, FlipJob, DiskBudget::Pressure>;

class DataWork {
 public:
  // `applied` is what the data says of itself.
  DataWork(std::unique_ptr<DataDb> data, Alarm& alarm, raft::EntryId applied,
           std::size_t row_memory_bytes)
      : data_(std::move(data)), alarm_(alarm), applied_(applied), batch_(alarm, row_memory_bytes) {
    batch_.begin(data_->family());
  }

  void run(std::vector<DataJob>& jobs, Answers& answers);

  [[nodiscard]] DataDb& data() { return *data_; }

  // Written earlier when the rows of a batch reach this, so that early jobs do not wait for a long
  // tail.
  static constexpr std::size_t batch_bytes_max = 1u << 20;

 private:
  void take(BatchJob& job, Answers& answers);
  void take(SyncJob& job, Answers& answers);
  void take(FlipJob& job, Answers& answers);
  void take(DiskBudget::Pressure pressure, Answers& answers);
  void write(Answers& answers);
  [[nodiscard]] bool fine(const Status& status);

  std::unique_ptr<DataDb> data_;
  Alarm& alarm_;
  raft::EntryId applied_;
  RowBatch batch_;
  std::optional<Store::Applied> batch_applied_;  // what the batch will say
  Answers waiting_;                              // for the batch to be written
  bool early_ = false;
};

}  // namespace iris::store
