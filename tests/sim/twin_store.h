// TwinStore: the production store on a RocksDisk, in simulated time: its lanes have no threads, and
// each batch takes as long as the disk's profile says. Every job runs on the model as well, and a
// read that differs there ends the run.
// One thread. Owns the store. Destroying it is the end of the process; before that, hand() gives
// the store back for RocksDisk::crash().
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "store/store.h"
#include "tests/sim/model_store.h"
#include "tests/sim/random.h"
#include "tests/sim/rocks_disk.h"

namespace iris::sim {

class TwinStore final : public store::Store {
 public:
  struct Hooks {
    Schedule schedule;
    std::function<bool()> gate;       // called before each write, as in ModelStore
    std::function<void()> power_off;  // called when the disk has died: the process ends
  };
  TwinStore(RocksDisk& disk, Hooks hooks, std::uint64_t seed);
  ~TwinStore() override;
  TwinStore(const TwinStore&) = delete;
  TwinStore& operator=(const TwinStore&) = delete;

  [[nodiscard]] std::unique_ptr<store::Store> hand();

  // --- store::Store
  [[nodiscard]] const store::Recovery& recovered() const override { return real_->recovered(); }
  [[nodiscard]] store::Recovery take_recovered() override { return real_->take_recovered(); }
  void start(store::Events events) override;
  void adopt(raft::ClusterId cluster, std::function<void()> done) override;
  void write(raft::LogWrite write) override;
  void apply(Applied applied, std::function<void(store::Batch&)> job,
             std::function<void()> done) override;
  void maintain(std::function<void(store::Batch&)> job, std::function<void()> done) override;
  [[nodiscard]] const store::View& cached() const override { return real_->cached(); }
  void read(std::function<void(const store::View&)> job, std::function<void()> done) override {
    real_->read(std::move(job), std::move(done));
  }
  [[nodiscard]] std::shared_ptr<const store::View> hold() override { return real_->hold(); }
  void read_held(std::shared_ptr<const store::View> view,
                 std::function<void(const store::View&)> job, std::function<void()> done) override {
    real_->read_held(std::move(view), std::move(job), std::move(done));
  }
  void hold_applied(std::function<void(std::shared_ptr<const store::View>)> done) override {
    real_->hold_applied(std::move(done));
  }
  void read_bulk(std::shared_ptr<const store::View> view,
                 std::function<void(const store::View&)> job, std::function<void()> done) override {
    real_->read_bulk(std::move(view), std::move(job), std::move(done));
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
  struct Import {
    raft::SnapshotMetadata mark;
    std::string bytes;
    DataPtr staged;
  };
  void later(std::uint64_t delay_us, std::function<void()> fn);
  void run_lane(store::LaneName lane, const std::function<void()>& work);
  [[nodiscard]] std::uint64_t duration(store::LaneName lane);
  void both(const std::function<void(store::Batch&)>& job, store::Batch& real,
            const std::optional<Applied>& applied);
  [[nodiscard]] Result<DataPtr> parse(const Import& import) const;

  RocksDisk& disk_;
  const Hooks hooks_;
  Random random_;
  std::unique_ptr<store::Store> real_;
  store::Events events_;
  std::deque<std::pair<raft::Ticket, std::uint64_t>> tickets_;  // and the jobs' numbers
  std::shared_ptr<Import> import_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace iris::sim
