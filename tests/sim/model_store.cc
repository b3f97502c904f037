#include "tests/sim/model_store.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "tests/sim/model_view.h"

namespace iris::sim {
namespace {

// The delay from the end of a job on a lane to its completion on the loop.
constexpr std::uint64_t post_us = 5;

std::uint64_t bytes_of(const LogJob& job) {
  std::uint64_t bytes = 0;
  if (job.write) {
    for (const raft::EntryPtr& entry : job.write->entries) bytes += raft::entry_bytes(*entry);
  }
  return bytes;
}

}  // namespace

// The view that the loop may read without waiting for a disk.
class ModelStore::CachedView : public store::View {
 public:
  explicit CachedView(ModelDisk& disk) : disk_(disk) {}
  [[nodiscard]] raft::Index applied() const override { return {0}; }
  [[nodiscard]] store::Found get(store::Table table, std::string_view key,
                                 std::string& value) const override {
    if (disk_.random_.chance(disk_.profile.incomplete_per_million)) return store::Found::incomplete;
    return StateView(disk_.versions_.back()).get(table, key, value);
  }
  [[nodiscard]] std::unique_ptr<store::Cursor> scan(store::Table, std::string_view,
                                                    std::string_view) const override {
    CHECK(!"scan() on the cached view is not allowed");
    return nullptr;
  }

 private:
  ModelDisk& disk_;
};

class ModelStore::HeldExport : public store::Export {
 public:
  HeldExport(ModelStore& store, DataPtr state)
      : store_(store), alive_(store.alive_), state_(std::move(state)), mark_(state_->mark()) {}
  [[nodiscard]] const raft::SnapshotMetadata& mark() const override { return mark_; }
  void read(std::size_t bytes_max, std::function<void(Result<std::string>)> done) override {
    CHECK(*alive_ && !reading_ && bytes_max > 0);
    reading_ = true;
    // The export may be destroyed while the lane works on it; then the answer is dropped.
    store_.queue_read([] {},
                      [this, here = std::weak_ptr<bool>(here_), bytes_max, done = std::move(done)] {
                        if (here.expired()) return;
                        reading_ = false;
                        if (!stream_) stream_ = export_state(*state_);
                        std::string chunk = stream_->substr(offset_, bytes_max);
                        offset_ += chunk.size();
                        done(std::move(chunk));
                      });
  }

 private:
  ModelStore& store_;
  std::shared_ptr<bool> alive_;  // false: the store is gone
  std::shared_ptr<bool> here_ = std::make_shared<bool>(true);
  DataPtr state_;
  raft::SnapshotMetadata mark_;
  std::optional<std::string> stream_;
  std::size_t offset_ = 0;
  bool reading_ = false;
};

ModelStore::ModelStore(ModelDisk& disk, Schedule schedule)
    : disk_(disk), schedule_(std::move(schedule)), cached_(std::make_unique<CachedView>(disk)) {
  CHECK(!disk_.open_ && !disk_.condemned_);
  disk_.open_ = true;
  recovery_ = {disk_.log_.cluster, disk_.recover()};
  adopted_ = recovery_->cluster.value != 0;
}

ModelStore::~ModelStore() {
  *alive_ = false;
  disk_.open_ = false;
}

const store::Recovery& ModelStore::recovered() const {
  CHECK(recovery_);
  return *recovery_;
}

store::Recovery ModelStore::take_recovered() {
  CHECK(recovery_);
  return *std::exchange(recovery_, std::nullopt);
}

bool ModelStore::run(Lane lane) {
  auto& steps = steps_.at(static_cast<std::size_t>(lane));
  if (steps.empty()) return false;
  const Step step = std::move(steps.front());
  steps.pop_front();
  step.fn();
  return true;
}

bool ModelStore::completes_next(Lane lane) const {
  const auto& steps = steps_.at(static_cast<std::size_t>(lane));
  return !steps.empty() && steps.front().completion;
}

void ModelStore::settle() {
  while (run(Lane::log) || run(Lane::data) || run(Lane::read)) {
  }
}

void ModelStore::complete(Lane lane, std::function<void()> fn) {
  post(lane, post_us, std::move(fn), true);
}

void ModelStore::post(Lane lane, std::uint64_t delay_us, std::function<void()> fn,
                      bool completion) {
  if (!schedule_) {
    steps_.at(static_cast<std::size_t>(lane)).push_back({completion, std::move(fn)});
    return;
  }
  schedule_(delay_us, [alive = alive_, fn = std::move(fn)] {
    if (*alive) fn();
  });
}

std::uint64_t ModelStore::duration(std::uint64_t min_us, std::uint64_t max_us) {
  std::uint64_t result = disk_.random_.between(min_us, max_us);
  const DiskProfile& profile = disk_.profile;
  if (disk_.random_.chance(profile.stall_per_million)) {
    result += disk_.random_.below(profile.stall_us_max + 1);
  }
  return result;
}

bool ModelStore::refused(std::uint64_t added_bytes) {
  const DiskProfile& profile = disk_.profile;
  const bool full = disk_.used_bytes() + added_bytes > profile.capacity_bytes;
  if (!full && !profile.fail_writes) return false;
  failed_ = true;
  Error error{Errc::io, full ? "no space left on the disk" : "the disk refused a write"};
  complete(Lane::log, [this, error = std::move(error)] { events_.failed(error); });
  return true;
}

void ModelStore::start(store::Events events) {
  CHECK(!started_);
  started_ = true;
  events_ = std::move(events);
}

// --- The log lane.

void ModelStore::adopt(raft::ClusterId cluster, std::function<void()> done) {
  if (!effect()) return;
  CHECK(!std::exchange(adopted_, true) && cluster.value != 0);
  LogJob job;
  job.adopt = cluster;
  queue_log(std::move(job), std::move(done));
}

void ModelStore::write(raft::LogWrite write) {
  if (!effect()) return;
  LogJob job;
  if (write.install) {
    CHECK(import_ && import_->staged != nullptr && import_->mark == *write.install);
    job.staged = std::move(import_->staged);
    job.data_barrier = data_queued_;
    import_.reset();
  }
  job.write = std::move(write);
  queue_log(std::move(job), nullptr);
}

void ModelStore::queue_log(LogJob job, std::function<void()> done) {
  CHECK(started_);
  if (failed_) return;
  disk_.pending_.push_back(std::move(job));
  log_done_.push_back(std::move(done));
  if (log_batch_ == 0) begin_log();
}

void ModelStore::begin_log() {
  log_batch_ = disk_.pending_.size();
  const DiskProfile& profile = disk_.profile;
  post(Lane::log, duration(profile.log_sync_us_min, profile.log_sync_us_max),
       [this] { finish_log(); });
}

void ModelStore::finish_log() {
  if (failed_) return;
  std::uint64_t added_bytes = 0;
  for (std::size_t i = 0; i < log_batch_; ++i) {
    const LogJob& job = disk_.pending_[i];
    added_bytes += bytes_of(job);
    if (job.staged != nullptr && data_finished_ < job.data_barrier) {
      log_waits_for_data_ = true;
      return;
    }
  }
  if (refused(added_bytes)) return;

  raft::Ticket ticket;
  std::vector<std::function<void()>> done;
  for (; log_batch_ > 0; --log_batch_) {
    const LogJob job = std::move(disk_.pending_.front());
    disk_.pending_.pop_front();
    disk_.do_log_job(job);
    if (job.write) ticket = job.write->ticket;
    if (log_done_.front()) done.push_back(std::move(log_done_.front()));
    log_done_.pop_front();
  }
  ++disk_.syncs_;
  complete(Lane::log, [this, ticket, done = std::move(done)] {
    if (ticket.value != 0) events_.durable(ticket);
    for (const auto& each : done) each();
  });
  if (!disk_.pending_.empty()) begin_log();
}

// --- The data lane.

void ModelStore::apply(Applied applied, std::function<void(store::Batch&)> job,
                       std::function<void()> done) {
  if (!effect()) return;
  // An install replaces the whole data: an apply during one would be lost.
  for (const LogJob& pending : disk_.pending_) CHECK(pending.staged == nullptr);
  queue_data({std::move(applied), std::move(job), std::move(done), std::nullopt});
}

void ModelStore::maintain(std::function<void(store::Batch&)> job, std::function<void()> done) {
  if (effect()) queue_data({std::nullopt, std::move(job), std::move(done), std::nullopt});
}

void ModelStore::trim(raft::SnapshotMetadata floor, std::function<void()> done) {
  if (!effect()) return;
  CHECK(floor.last.index <= disk_.data().applied.index);
  queue_data({std::nullopt, nullptr, std::move(done), std::move(floor)});
}

void ModelStore::queue_data(DataJob job) {
  CHECK(started_);
  if (failed_) return;
  data_queue_.push_back(std::move(job));
  ++data_queued_;
  if (data_batch_ == 0) begin_data();
}

void ModelStore::begin_data() {
  const DiskProfile& profile = disk_.profile;
  const auto to_sync = std::find_if(data_queue_.begin(), data_queue_.end(),
                                    [](const DataJob& job) { return job.sync_then.has_value(); });
  const bool sync = to_sync == data_queue_.begin();
  data_batch_ = sync ? 1 : static_cast<std::size_t>(to_sync - data_queue_.begin());
  post(Lane::data,
       sync ? duration(profile.data_sync_us_min, profile.data_sync_us_max)
            : duration(profile.data_us_min, profile.data_us_max),
       [this] { finish_data(); });
}

void ModelStore::finish_data() {
  if (failed_ || refused(0)) return;
  std::vector<std::function<void()>> done;
  DataState state = disk_.data();
  StateBatch batch(state);
  for (; data_batch_ > 0; --data_batch_, ++data_finished_) {
    DataJob job = std::move(data_queue_.front());
    data_queue_.pop_front();
    if (job.sync_then) {
      disk_.sync_data();
      LogJob trim;
      trim.trim = std::move(job.sync_then);
      queue_log(std::move(trim), std::move(job.done));
      continue;
    }
    if (job.held) {
      done.emplace_back(
          [held = std::move(job.held),
           view = std::make_shared<StateView>(std::make_shared<DataState>(state))] { held(view); });
      continue;
    }
    std::array<std::uint64_t, table_count> before{};
    for (std::size_t i = 0; i < table_count; ++i) before[i] = state.tables[i].digest();
    job.job(batch);
    if (!job.applied) {
      for (std::size_t i = 0; i < table_count; ++i) {
        state.maintained[i] += before[i] - state.tables[i].digest();
      }
    }
    if (job.applied) {
      CHECK(job.applied->last.index > state.applied.index);
      CHECK(job.applied->last.term >= state.applied.term);
      state.applied = job.applied->last;
      if (job.applied->members) {
        state.members = std::move(*job.applied->members);
        state.members_index = job.applied->members_index;
      }
    }
    if (job.done) done.push_back(std::move(job.done));
  }
  disk_.add_version(std::move(state));
  complete(Lane::data, [done = std::move(done)] {
    for (const auto& each : done) each();
  });
  if (!data_queue_.empty()) begin_data();
  if (std::exchange(log_waits_for_data_, false)) finish_log();
}

// --- The read lane.

const store::View& ModelStore::cached() const { return *cached_; }

void ModelStore::read(std::function<void(const store::View&)> job, std::function<void()> done) {
  queue_read([this, job = std::move(job)] { job(StateView(disk_.versions_.back())); },
             std::move(done));
}

std::shared_ptr<const store::View> ModelStore::hold() {
  return std::make_shared<StateView>(disk_.versions_.back());
}

void ModelStore::read_held(std::shared_ptr<const store::View> view,
                           std::function<void(const store::View&)> job,
                           std::function<void()> done) {
  queue_read([view = std::move(view), job = std::move(job)] { job(*view); }, std::move(done));
}

void ModelStore::hold_applied(std::function<void(std::shared_ptr<const store::View>)> done) {
  queue_data({std::nullopt, nullptr, nullptr, std::nullopt, std::move(done)});
}

void ModelStore::queue_read(std::function<void()> work, std::function<void()> done) {
  CHECK(started_);
  if (failed_) return;
  read_queue_.push_back({std::move(work), std::move(done)});
  if (!reading_) begin_read();
}

void ModelStore::begin_read() {
  reading_ = true;
  const DiskProfile& profile = disk_.profile;
  post(Lane::read, duration(profile.read_us_min, profile.read_us_max), [this] { finish_read(); });
}

void ModelStore::finish_read() {
  reading_ = false;
  if (failed_) return;
  ReadJob job = std::move(read_queue_.front());
  read_queue_.pop_front();
  job.work();
  if (job.done) complete(Lane::read, std::move(job.done));
  if (!read_queue_.empty()) begin_read();
}

// --- Snapshots: read and staged on the read lane.

std::unique_ptr<store::Export> ModelStore::pin() {
  CHECK(started_);
  return std::make_unique<HeldExport>(*this, disk_.versions_.back());
}

void ModelStore::import_begin(raft::SnapshotMetadata mark) {
  CHECK(started_);
  import_ = std::make_shared<Import>();
  import_->mark = std::move(mark);
}

void ModelStore::import_chunk(std::string bytes, std::function<void(Status)> done) {
  CHECK(import_ != nullptr && import_->staged == nullptr);
  queue_read([import = import_, bytes = std::move(bytes)] { import->bytes += bytes; },
             [done = std::move(done)] { done(Unit{}); });
}

void ModelStore::import_finish(std::function<void(Status)> done) {
  CHECK(import_ != nullptr && import_->staged == nullptr);
  queue_read([] {},
             [import = import_, done = std::move(done)] {
               Result<DataPtr> staged = import_state(import->mark, import->bytes);
               import->bytes.clear();
               if (!staged) {
                 done(unexpected(staged.error()));
                 return;
               }
               import->staged = std::move(*staged);
               done(Unit{});
             });
}

void ModelStore::import_drop() { import_.reset(); }

void ModelStore::condemn(std::string, std::function<void(Status)> done) {
  queue_read(
      [this] {
        if (effect()) disk_.condemn();
      },
      [done = std::move(done)] { done(Unit{}); });
}

store::DiskUse ModelStore::disk_use() const {
  const std::uint64_t used = disk_.used_bytes();
  const std::uint64_t capacity = disk_.profile.capacity_bytes;
  return {used, used < capacity ? capacity - used : 0};
}

}  // namespace iris::sim
