// RocksStore: the Store on RocksDB. Connects four lanes with the loop: log, data, read and bulk
// (snapshots out and in, files to delete). The work of a lane is in log_work.h, data_work.h,
// export.h and import.h.
// Loop thread, but where a line says otherwise; open() blocks and runs before the loop. Owns
// everything of an open raft folder.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "raft/result.h"
#include "raft/types.h"
#include "store/alarm.h"
#include "store/data_work.h"
#include "store/disk_budget.h"
#include "store/disk_gauge.h"
#include "store/folder.h"
#include "store/lane.h"
#include "store/log_work.h"
#include "store/mailbox.h"
#include "store/rocks.h"
#include "store/staging.h"
#include "store/store.h"
#include "store/views.h"

namespace iris::store {

class RocksStore final : public Store {
 public:
  using Done = std::function<void()>;

  // REQUIRES: options.budget is there.
  RocksStore(RocksOptions options, Folder folder);
  // Runs what is queued on the lanes, then ends them.
  ~RocksStore() override;
  RocksStore(const RocksStore&) = delete;
  RocksStore& operator=(const RocksStore&) = delete;

  // Makes the databases of a new folder, or reads and verifies those that are there. Once, before
  // all other calls. The errors are those of open_rocks().
  Status open();

  [[nodiscard]] const Recovery& recovered() const override;
  [[nodiscard]] Recovery take_recovered() override;
  void start(Events events) override;
  void adopt(raft::ClusterId cluster, Done done) override;
  void write(raft::LogWrite write) override;
  void apply(Applied applied, std::function<void(Batch&)> job, Done done) override;
  void maintain(std::function<void(Batch&)> job, Done done) override;
  [[nodiscard]] const View& cached() const override { return *cached_; }
  void read(std::function<void(const View&)> job, Done done) override;
  [[nodiscard]] std::shared_ptr<const View> hold() override;
  void read_held(std::shared_ptr<const View> view, std::function<void(const View&)> job,
                 Done done) override;
  void hold_applied(std::function<void(std::shared_ptr<const View>)> done) override;
  void read_bulk(std::shared_ptr<const View> view, std::function<void(const View&)> job,
                 Done done) override;
  void trim(raft::SnapshotMetadata floor, Done done) override;
  [[nodiscard]] std::unique_ptr<Export> pin() override;
  void import_begin(raft::SnapshotMetadata mark) override;
  void import_chunk(std::string bytes, std::function<void(Status)> done) override;
  void import_finish(std::function<void(Status)> done) override;
  void import_drop() override;
  void condemn(std::string why, std::function<void(Status)> done) override;
  void check_disk() override;
  [[nodiscard]] DiskUse disk_use() const override { return disk_use_; }

 private:
  struct ReadJob {
    std::shared_ptr<Family> family;          // read the newest state of this ..
    std::shared_ptr<const PinnedView> held;  // .. or this state
    std::function<void(const View&)> job;
    Done done;
  };

  struct MeasureJob {};
  using ReadLaneJob = std::variant<ReadJob, MeasureJob>;

  template <class Job>
  std::unique_ptr<Lane<Job>> make_lane(LaneName lane, std::size_t jobs_max,
                                       std::function<void(std::vector<Job>&, Answers&)> run);
  [[nodiscard]] Status check_room() const;
  void start_lanes();
  Result<Done> flip(std::shared_ptr<const Staged> staged);           // log lane
  void run_reads(std::vector<ReadLaneJob>& jobs, Answers& answers);  // read lane
  void bulk(BulkJob job);
  [[nodiscard]] DiskUse measure_disk();  // any thread; asks the file system
  void pass_on_pressure();

  const RocksOptions options_;
  Folder folder_;
  DiskGauge gauge_;
  DiskUse disk_use_;
  Alarm alarm_;
  std::optional<Recovery> recovery_;  // none: taken
  Events events_;
  bool adopted_ = false;
  // What the lanes were told last, and when.
  DiskBudget::Pressure pressure_ = DiskBudget::Pressure::none;
  std::chrono::steady_clock::time_point pressure_at_;
  Mailbox mailbox_;
  std::unique_ptr<LogWork> log_;
  std::unique_ptr<DataWork> data_;
  std::unique_ptr<CachedView> cached_;
  Staging staging_;
  std::unique_ptr<Lane<LogJob>> log_lane_;
  std::unique_ptr<Lane<DataJob>> data_lane_;
  std::unique_ptr<Lane<ReadLaneJob>> read_lane_;
  std::unique_ptr<Lane<BulkJob>> bulk_lane_;
};

}  // namespace iris::store
