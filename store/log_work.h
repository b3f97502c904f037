// LogWork: the jobs of the log lane. Puts as many as possible into one batch with one sync, then
// gives one answer for all of them.
// Log lane only. Owns the database of the log. An error raises the alarm; from then on jobs and
// answers are dropped.
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
#include "store/disk_budget.h"
#include "store/lane.h"
#include "store/log_db.h"

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
  raft::SnapshotMetadata floor;  // the data is synced up to here
  std::function<void()> done;
};
// A pressure is a job too: the one that reacts to it.
using LogJob = std::variant<WriteJob, AdoptJob, TrimJob, DiskBudget::Pressure>;

class LogWork {
 public:
  // Called on the loop with the highest durable ticket.
  using Durable = std::function<void(raft::Ticket)>;
  // Makes a staged snapshot the data, durably; blocks the log lane meanwhile. Returns a function
  // that has to run on the loop before the ticket is reported durable.
  using Flip = std::function<Result<std::function<void()>>(std::shared_ptr<const Staged>)>;
  using Step = std::function<void(std::string_view)>;

  LogWork(std::unique_ptr<LogDb> log, Alarm& alarm, Durable durable, Flip flip, Step on_step)
      : log_(std::move(log)),
        alarm_(alarm),
        durable_(std::move(durable)),
        flip_(std::move(flip)),
        on_step_(std::move(on_step)) {}

  void run(std::vector<LogJob>& jobs, Answers& answers);

  // A batch that is larger is committed before all jobs are in it, so that the first of them do not
  // wait for a long tail.
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
