// LogWork: what the log lane does with its jobs: as many as possible into one batch and one sync,
// then one answer for all of them.
// Log lane only. Owns the log. After the first refusal it drops everything (the alarm has told).
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "raft/result.h"
#include "raft/types.h"
#include "store/alarm.h"
#include "store/data_db.h"
#include "store/lane.h"
#include "store/log_db.h"
#include "store/disk_budget.h"

namespace iris::store {

struct WriteJob {
  raft::LogWrite write;
  std::shared_ptr<const Staged> staged;  // with write.install
};
struct AdoptJob {
  raft::ClusterId cluster;
  std::function<void()> done;
};
struct TrimJob {
  raft::SnapshotMark floor;  // the data is synced up to here
  std::function<void()> done;
};
// A job as well: what is to be done under this pressure.
using LogJob = std::variant<WriteJob, AdoptJob, TrimJob, DiskBudget::Pressure>;

class LogWork {
 public:
  // Called on the loop: the highest ticket that is durable.
  using Durable = std::function<void(raft::Ticket)>;
  // Makes a staged snapshot the data, durably; blocks the log lane meanwhile. Returns what has to
  // run on the loop before anybody hears that it is done.
  using Flip = std::function<Result<std::function<void()>>(std::shared_ptr<const Staged>)>;
  using Step = std::function<void(std::string_view)>;

  LogWork(std::unique_ptr<LogDb> log, Alarm& alarm, Durable durable, Flip flip, Step on_step)
      : log_(std::move(log)),
        alarm_(alarm),
        durable_(std::move(durable)),
        flip_(std::move(flip)),
        on_step_(std::move(on_step)) {}

  void run(std::vector<LogJob>& jobs, Answers& answers);

  // RocksDB batches are kept below this, so that early jobs do not wait for a long tail.
  static constexpr std::size_t batch_bytes_max = 8u << 20;

 private:
  void take(WriteJob& job, Answers& answers);
  void take(AdoptJob& job, Answers& answers);
  void take(TrimJob& job, Answers& answers);
  void take(DiskBudget::Pressure pressure, Answers& answers);
  Status install(WriteJob& job, Answers& answers);
  void commit();
  void step(std::string_view name);
  void answer_durable(Answers& answers);

  std::unique_ptr<LogDb> log_;
  Alarm& alarm_;
  const Durable durable_;
  const Flip flip_;
  const Step on_step_;
  std::optional<raft::Ticket> unanswered_;  // the highest ticket taken since the last answer
  bool early_ = false;
};

}  // namespace iris::store
