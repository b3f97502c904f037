#include "store/rocks_store.h"

#include <sys/resource.h>

#include <utility>

#include "raft/check.h"
#include "store/data_db.h"
#include "store/export.h"
#include "store/files.h"
#include "store/log_db.h"
#include "store/recovery.h"

namespace iris::store {

namespace {

// The bulk lane answers each job at once, as none of its jobs gains by company.
constexpr std::size_t lane_jobs_max = 1024;
constexpr std::size_t bulk_jobs_max = 1;
// A transfer takes the processor only where writers leave it: a leader that sends a snapshot, or a
// follower that stages one, must not slow down what clients wait for. Beside two snapshots 256
// commands take 1.9 ms instead of 2.3, and 1.4 without any (iris-microbench write_beside_snapshots,
// two processors).
constexpr int bulk_niceness = 5;
// What RocksDB writes into both databases while it opens them, besides its tables: lists of its
// files, its options and its log.
constexpr std::uint64_t opening_bytes = 1u << 20;
// Between two flushes while space is scarce. Each costs at most a compaction of the upper levels.
constexpr std::chrono::seconds flush_interval{5};

// On Linux this changes the calling thread only. Where it is refused, only speed is lost.
void yield_to_others() {
  const int niceness = ::getpriority(PRIO_PROCESS, 0) + bulk_niceness;
  static_cast<void>(::setpriority(PRIO_PROCESS, 0, niceness));
}

const char* thread_name(LaneName lane) {
  switch (lane) {
    case LaneName::log:
      return "iris-log";
    case LaneName::data:
      return "iris-data";
    case LaneName::read:
      return "iris-read";
    case LaneName::bulk:
      return "iris-bulk";
  }
  return "";
}

std::shared_ptr<const PinnedView> pinned_view(std::shared_ptr<const View> view) {
  auto held = std::dynamic_pointer_cast<const PinnedView>(std::move(view));
  CHECK(held != nullptr);
  return held;
}

}  // namespace

// --- Open, start, stop.

RocksStore::RocksStore(RocksOptions options, Folder folder)
    : options_(std::move(options)),
      folder_(std::move(folder)),
      gauge_(folder_.path()),
      mailbox_(options_.post),
      staging_(options_, folder_.staging_path(), gauge_,
               [this](BulkJob job) { bulk(std::move(job)); }) {}

Status RocksStore::open() {
  if (Status room = check_room(); !room) return room;
  options_.budget->update(gauge_.free_bytes());  // RocksDB begins compactions while it opens
  if (folder_.is_new()) {
    if (Status made = LogDb::create(options_, folder_, {folder_.self(), {}}, {}, {}); !made) {
      return made;
    }
    if (Status made = DataDb::create(options_, folder_, {}); !made) return made;
    if (Status made = folder_.complete(); !made) return made;
  }
  LogFound found;
  Result<std::unique_ptr<LogDb>> log = LogDb::open(options_, folder_, alarm_, found);
  if (!log) return unexpected(log.error());
  raft::SnapshotMetadata mark;
  Result<std::unique_ptr<DataDb>> data = DataDb::open(options_, folder_, alarm_, mark);
  if (!data) return unexpected(data.error());
  if (Status settled = settle(**log, found, mark); !settled) {
    return fail(settled.error().code,
                "raft folder " + folder_.path() + ": " + settled.error().text);
  }
  recovery_ = {found.identity.cluster,
               {folder_.self(), found.state, std::move(found.floor), std::move(found.entries),
                mark.last.index}};
  adopted_ = recovery_->cluster != raft::ClusterId{};
  cached_ = std::make_unique<CachedView>((*data)->family());
  data_ =
      std::make_unique<DataWork>(std::move(*data), alarm_, mark.last, options_.row_memory_bytes);
  log_ = std::make_unique<LogWork>(
      std::move(*log), alarm_, [this](raft::Ticket ticket) { events_.durable(ticket); },
      [this](std::shared_ptr<const Staged> staged) { return flip(std::move(staged)); },
      options_.on_step);
  disk_use_ = measure_disk();
  return Unit{};
}

// RocksDB ends the process where the disk refuses what it writes while it opens. It writes its
// write-ahead files into tables before it deletes them.
Status RocksStore::check_room() const {
  std::uint64_t needed = opening_bytes;
  for (const std::string& path : {folder_.log_path(), folder_.data_path()}) {
    needed += bytes_of_files(path, ".log");
  }
  const std::uint64_t free = gauge_.free_bytes();
  if (free >= needed) return Unit{};
  return fail(Errc::io, "raft folder " + folder_.path() + ": the disk is too full to start: " +
                            std::to_string(needed) + " bytes are needed and " +
                            std::to_string(free) + " are free; make room and start again");
}

const Recovery& RocksStore::recovered() const {
  CHECK(recovery_);
  return *recovery_;
}

Recovery RocksStore::take_recovered() {
  CHECK(recovery_);
  return *std::exchange(recovery_, std::nullopt);
}

template <class Job>
std::unique_ptr<Lane<Job>> RocksStore::make_lane(
    LaneName lane, std::size_t jobs_max, std::function<void(std::vector<Job>&, Answers&)> run) {
  typename Lane<Job>::Hooks hooks{std::move(run),
                                  [this](Answers answers) { mailbox_.put(std::move(answers)); }};
  typename Lane<Job>::Runner runner;
  if (options_.run_lane) {
    runner = [this, lane](std::function<void()> work) { options_.run_lane(lane, std::move(work)); };
  }
  return std::make_unique<Lane<Job>>(thread_name(lane), jobs_max, std::move(hooks),
                                     std::move(runner));
}

void RocksStore::start(Events events) {
  CHECK(log_lane_ == nullptr);
  events_ = std::move(events);
  alarm_.listen(
      [this](const Error& error) { mailbox_.put({[this, error] { events_.failed(error); }}); });
  start_lanes();
  if (!options_.run_lane && !options_.keep_priorities) bulk([](Answers&) { yield_to_others(); });
  data_->data().on_retired([this] { bulk([this](Answers&) { data_->data().reap(); }); });
}

void RocksStore::start_lanes() {
  log_lane_ = make_lane<LogJob>(
      LaneName::log, lane_jobs_max,
      [this](std::vector<LogJob>& jobs, Answers& answers) { log_->run(jobs, answers); });
  data_lane_ = make_lane<DataJob>(LaneName::data, lane_jobs_max,
                                  [this](std::vector<DataJob>& jobs, Answers& answers) {
                                    data_->run(jobs, answers);
                                    gauge_.refresh();
                                    options_.budget->update(gauge_.free_bytes());
                                  });
  read_lane_ = make_lane<ReadLaneJob>(
      LaneName::read, lane_jobs_max,
      [this](std::vector<ReadLaneJob>& jobs, Answers& answers) { run_reads(jobs, answers); });
  bulk_lane_ = make_lane<BulkJob>(LaneName::bulk, bulk_jobs_max,
                                  [](std::vector<BulkJob>& jobs, Answers& answers) {
                                    for (const BulkJob& job : jobs) job(answers);
                                  });
}

// The log lane waits for the data lane when it flips, and the data lane feeds the log lane when it
// trims: so the data lane stops after the log lane, and what it would still feed it is dropped.
RocksStore::~RocksStore() {
  if (log_lane_) log_lane_->stop();
  if (data_lane_) data_lane_->stop();
  if (read_lane_) read_lane_->stop();
  if (bulk_lane_) bulk_lane_->stop();
  if (data_) data_->data().on_retired(nullptr);
  alarm_.listen(nullptr);
  mailbox_.close();  // before the data goes: an answer may hold a view of it
}

// --- The disk.

void RocksStore::check_disk() { CHECK(read_lane_->push(MeasureJob{})); }

DiskUse RocksStore::measure_disk() {
  const std::uint64_t free = gauge_.free_bytes();
  options_.budget->update(free);
  return {gauge_.used_bytes(), options_.budget->available_bytes(free)};
}

void RocksStore::pass_on_pressure() {
  if (options_.run_lane) return;  // no compactions
  const DiskBudget::Pressure pressure = options_.budget->pressure();
  const auto now = std::chrono::steady_clock::now();
  const bool again =
      pressure == DiskBudget::Pressure::flush && now - pressure_at_ >= flush_interval;
  if (pressure == pressure_ && !again) return;
  pressure_ = pressure;
  pressure_at_ = now;
  static_cast<void>(log_lane_->push(pressure));
  static_cast<void>(data_lane_->push(pressure));
}

// --- Writes.

void RocksStore::adopt(raft::ClusterId cluster, Done done) {
  CHECK(cluster != raft::ClusterId{});
  CHECK(!std::exchange(adopted_, true));
  CHECK(log_lane_->push(AdoptJob{cluster, std::move(done)}));
}

void RocksStore::write(raft::LogWrite write) {
  std::shared_ptr<const Staged> staged;
  if (write.install) staged = staging_.take(*write.install);
  CHECK(log_lane_->push(WriteJob{std::move(write), std::move(staged)}));
}

void RocksStore::apply(Applied applied, std::function<void(Batch&)> job, Done done) {
  CHECK(data_lane_->push(BatchJob{std::move(applied), std::move(job), std::move(done)}));
}

void RocksStore::maintain(std::function<void(Batch&)> job, Done done) {
  CHECK(data_lane_->push(BatchJob{std::nullopt, std::move(job), std::move(done)}));
}

void RocksStore::trim(raft::SnapshotMetadata floor, Done done) {
  const raft::Index index = floor.last.index;
  auto then = [this, floor = std::move(floor), done = std::move(done)] {
    static_cast<void>(
        log_lane_->push(TrimJob{floor, done}));  // stopped already: trimmed after the next start
  };
  CHECK(data_lane_->push(SyncJob{index, std::move(then)}));
}

Result<RocksStore::Done> RocksStore::flip(std::shared_ptr<const Staged> staged) {
  FlipJob job{std::move(staged), {}};
  std::future<Result<std::shared_ptr<Family>>> flipped = job.flipped.get_future();
  CHECK(data_lane_->push(std::move(job)));          // this lane stops before that one
  if (options_.run_lane) data_lane_->run_queued();  // nobody else would: this job has not ended
  Result<std::shared_ptr<Family>> family = flipped.get();
  if (!family) return unexpected(family.error());
  // Weak, as an answer that is never run must not keep the family. Where the family is gone
  // already, an answer with a later one follows.
  return Done([this, shown = std::weak_ptr<Family>(*family)] {
    if (std::shared_ptr<Family> still = shown.lock()) cached_->show(std::move(still));
  });
}

// --- Reads.

void RocksStore::read(std::function<void(const View&)> job, Done done) {
  CHECK(read_lane_->push(ReadJob{cached_->family(), nullptr, std::move(job), std::move(done)}));
}

std::shared_ptr<const View> RocksStore::hold() {
  return std::make_shared<PinnedView>(std::make_shared<const Pinned>(cached_->family()), alarm_);
}

void RocksStore::read_held(std::shared_ptr<const View> view, std::function<void(const View&)> job,
                           Done done) {
  auto held = pinned_view(std::move(view));
  CHECK(read_lane_->push(ReadJob{nullptr, std::move(held), std::move(job), std::move(done)}));
}

void RocksStore::hold_applied(std::function<void(std::shared_ptr<const View>)> done) {
  CHECK(data_lane_->push(HoldJob{std::move(done)}));
}

void RocksStore::read_bulk(std::shared_ptr<const View> view, std::function<void(const View&)> job,
                           Done done) {
  auto held = pinned_view(std::move(view));
  bulk([this, held = std::move(held), job = std::move(job),
        done = std::move(done)](Answers& answers) {
    if (alarm_.raised()) return;
    job(PinnedView(held->pinned(), alarm_, PinnedView::Cache::spare));
    if (!alarm_.raised()) answers.push_back(done);
  });
}

// One pinned state serves all jobs of a batch that read the newest state of a family.
void RocksStore::run_reads(std::vector<ReadLaneJob>& jobs, Answers& answers) {
  std::shared_ptr<Family> family;
  std::unique_ptr<PinnedView> shared;
  for (ReadLaneJob& next : jobs) {
    if (alarm_.raised()) break;
    auto* job = std::get_if<ReadJob>(&next);
    if (job == nullptr) {
      answers.emplace_back([this, use = measure_disk()] {
        disk_use_ = use;
        pass_on_pressure();
      });
      continue;
    }
    if (job->family != nullptr && job->family != family) {
      family = job->family;
      shared = std::make_unique<PinnedView>(std::make_shared<const Pinned>(family), alarm_);
    }
    job->job(job->held != nullptr ? *job->held : *shared);
    answers.push_back(std::move(job->done));
  }
  if (alarm_.raised()) answers.clear();
}

// --- Snapshots.

void RocksStore::bulk(BulkJob job) {
  static_cast<void>(bulk_lane_->push(std::move(job)));  // stopped already: the destructor tidies up
}

std::unique_ptr<Export> RocksStore::pin() {
  return std::make_unique<RocksExport>(std::make_shared<const Pinned>(cached_->family()), alarm_,
                                       [this](BulkJob job) { bulk(std::move(job)); });
}

void RocksStore::import_begin(raft::SnapshotMetadata mark) { staging_.begin(std::move(mark)); }

void RocksStore::import_chunk(std::string bytes, std::function<void(Status)> done) {
  staging_.chunk(std::move(bytes), std::move(done));
}

void RocksStore::import_finish(std::function<void(Status)> done) {
  staging_.finish(std::move(done));
}

void RocksStore::import_drop() { staging_.drop(); }

void RocksStore::condemn(std::string why, std::function<void(Status)> done) {
  bulk([this, why = std::move(why), done = std::move(done)](Answers& answers) {
    const Status condemned = folder_.condemn(why);
    if (!alarm_.raised()) answers.emplace_back([done, condemned] { done(condemned); });
  });
}

}  // namespace iris::store
