// ModelStore: store/store.h over a ModelDisk, in simulated time. For the simulator, and for unit
// tests of all that uses a Store.
// One thread. Three lanes as in production (log, data, read), each FIFO; a completion never comes
// from inside the call. Destroying it is the end of the process: nothing under way completes;
// ModelDisk::crash() then decides what survives.
// The Schedule is the clock; without one, jobs wait until the test calls run() or settle().
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "store/store.h"
#include "tests/sim/model_disk.h"

namespace iris::sim {

enum class Lane : std::uint8_t { log = 0, data = 1, read = 2 };

// Calls `fn` after `delay_us` of simulated time; equal times in the order of the calls.
using Schedule = std::function<void(std::uint64_t delay_us, std::function<void()> fn)>;

class ModelStore : public store::Store {
 public:
  // REQUIRES: no other store is open on `disk`, which outlives this one.
  explicit ModelStore(ModelDisk& disk, Schedule schedule = nullptr);
  ~ModelStore() override;
  ModelStore(const ModelStore&) = delete;
  ModelStore& operator=(const ModelStore&) = delete;

  // Called before each write. From its first false on nothing is written: so a process can end
  // between two of its effects.
  void set_gate(std::function<bool()> gate) { gate_ = std::move(gate); }

  // --- Without a Schedule.
  // The next step of `lane`: a job, or the completion of one. False: nothing waits there.
  bool run(Lane lane);
  // Is that step a completion, which production runs on the loop?
  [[nodiscard]] bool completes_next(Lane lane) const;
  // Until nothing waits in any lane.
  void settle();

  // --- store::Store
  [[nodiscard]] const store::Recovery& recovered() const override;
  [[nodiscard]] store::Recovery take_recovered() override;
  void start(store::Events events) override;
  void adopt(raft::ClusterId cluster, std::function<void()> done) override;
  void write(raft::LogWrite write) override;
  void apply(Applied applied, std::function<void(store::Batch&)> job,
             std::function<void()> done) override;
  void maintain(std::function<void(store::Batch&)> job, std::function<void()> done) override;
  [[nodiscard]] const store::View& cached() const override;
  void read(std::function<void(const store::View&)> job, std::function<void()> done) override;
  [[nodiscard]] std::shared_ptr<const store::View> hold() override;
  void read_held(std::shared_ptr<const store::View> view,
                 std::function<void(const store::View&)> job, std::function<void()> done) override;
  void hold_applied(std::function<void(std::shared_ptr<const store::View>)> done) override;
  void read_bulk(std::shared_ptr<const store::View> view,
                 std::function<void(const store::View&)> job, std::function<void()> done) override {
    read_held(std::move(view), std::move(job), std::move(done));
  }
  void trim(raft::SnapshotMetadata floor, std::function<void()> done) override;
  [[nodiscard]] std::unique_ptr<store::Export> pin() override;
  void import_begin(raft::SnapshotMetadata mark) override;
  void import_chunk(std::string bytes, std::function<void(Status)> done) override;
  void import_finish(std::function<void(Status)> done) override;
  void import_drop() override;
  void condemn(std::string why, std::function<void(Status)> done) override;
  void check_disk() override {}  // disk_use() is always up to date
  [[nodiscard]] store::DiskUse disk_use() const override;

 private:
  class CachedView;
  class HeldExport;
  struct DataJob {
    std::optional<Applied> applied;
    std::function<void(store::Batch&)> job;           // of apply and maintain
    std::function<void()> done;                       // after the job
    std::optional<raft::SnapshotMetadata> sync_then;  // of trim: sync, then drop the log up to here
    std::function<void(std::shared_ptr<const store::View>)> held = nullptr;  // of hold_applied
  };
  struct ReadJob {
    std::function<void()> work;
    std::function<void()> done;
  };
  struct Import {
    raft::SnapshotMetadata mark;
    std::string bytes;
    DataPtr staged;  // once finished and checked
  };

  // Runs `fn` later on `lane`'s behalf, unless this store is gone by then.
  void post(Lane lane, std::uint64_t delay_us, std::function<void()> fn, bool completion = false);
  void complete(Lane lane, std::function<void()> fn);  // of a job that is done
  std::uint64_t duration(std::uint64_t min_us, std::uint64_t max_us);
  [[nodiscard]] bool effect() const { return !gate_ || gate_(); }
  [[nodiscard]] bool refused(std::uint64_t added_bytes);

  void queue_log(LogJob job, std::function<void()> done);
  void begin_log();
  void finish_log();
  void queue_data(DataJob job);
  void begin_data();
  void finish_data();
  void queue_read(std::function<void()> work, std::function<void()> done);
  void begin_read();
  void finish_read();

  ModelDisk& disk_;
  Schedule schedule_;
  std::function<bool()> gate_;
  std::optional<store::Recovery> recovery_;  // none: taken
  bool adopted_ = false;
  store::Events events_;
  bool started_ = false;
  bool failed_ = false;

  std::deque<std::function<void()>> log_done_;  // one for each of disk_.pending_, may be empty
  std::size_t log_batch_ = 0;                   // jobs of disk_.pending_ being synced
  bool log_waits_for_data_ = false;             // an install behind data jobs
  std::deque<DataJob> data_queue_;
  std::size_t data_batch_ = 0;
  std::uint64_t data_queued_ = 0;  // jobs ever
  std::uint64_t data_finished_ = 0;
  std::deque<ReadJob> read_queue_;
  bool reading_ = false;

  std::shared_ptr<Import> import_;  // shared with the steps under way of it
  std::unique_ptr<CachedView> cached_;
  struct Step {
    bool completion = false;
    std::function<void()> fn;
  };
  std::array<std::deque<Step>, 3> steps_;  // without a Schedule
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace iris::sim
