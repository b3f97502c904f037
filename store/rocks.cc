#include "store/rocks.h"

#include <rocksdb/options.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "raft/check.h"
#include "store/alarm.h"
#include "store/data_db.h"
#include "store/data_work.h"
#include "store/disk_gauge.h"
#include "store/engine.h"
#include "store/export.h"
#include "store/folder.h"
#include "store/import.h"
#include "store/lane.h"
#include "store/log_db.h"
#include "store/log_work.h"
#include "store/mailbox.h"
#include "store/recovery.h"
#include "store/room.h"
#include "store/views.h"

namespace iris::store {

namespace {

// At once; on the bulk lane one by one, as none of its jobs gains by company.
constexpr std::size_t lane_jobs_max = 1024;
constexpr int data_files_open_min = 32;
// A transfer takes the processor only where writers leave it: a leader that sends a snapshot, or a
// follower that stages one, must not slow down what clients wait for.
constexpr int bulk_niceness = 5;
// A snapshot that is being received leaves this part of disk_kept_free_bytes: what the log cannot
// write ends the node, and a node that ended so would be sent the same snapshot again.
constexpr std::uint64_t staging_share = 4;
// While room is short. Each time costs a compaction of the upper levels, at most.
constexpr std::chrono::seconds flush_interval{5};

struct ReadJob {
  std::shared_ptr<Family> family;          // read the newest state of this ..
  std::shared_ptr<const PinnedView> held;  // .. or this state
  std::function<void(const View&)> job;
  std::function<void()> done;
};

struct ImportSlot {
  raft::SnapshotMark mark;
  std::unique_ptr<Import> work;          // bulk lane
  std::shared_ptr<const Staged> staged;  // loop; once it is whole and checked
};

// Of the calling thread alone, as Linux has it. Where it is refused, nothing is lost but speed.
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

class RocksStore final : public Store {
 public:
  using Done = std::function<void()>;

  RocksStore(RocksOptions options, Folder folder)
      : options_(std::move(options)),
        folder_(std::move(folder)),
        gauge_(folder_.path()),
        mailbox_(options_.post) {}
  ~RocksStore() override;
  RocksStore(const RocksStore&) = delete;
  RocksStore& operator=(const RocksStore&) = delete;

  Status open();

  [[nodiscard]] const Recovery& recovered() const override { return recovery_; }
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
  void trim(raft::SnapshotMark floor, Done done) override;
  [[nodiscard]] std::unique_ptr<Export> pin() override;
  void import_begin(raft::SnapshotMark mark) override;
  void import_chunk(std::string bytes, std::function<void(Status)> done) override;
  void import_finish(std::function<void(Status)> done) override;
  void import_drop() override;
  [[nodiscard]] DiskUse disk_use() const override;

 private:
  template <class Job>
  std::unique_ptr<Lane<Job>> make_lane(LaneName lane, std::size_t jobs_max,
                                       std::function<void(std::vector<Job>&, Answers&)> run);
  Result<Done> flip(std::shared_ptr<const Staged> staged);
  void run_reads(std::vector<ReadJob>& jobs, Answers& answers);
  void bulk(BulkJob job);
  Status stage(Import& import, const std::string& bytes) const;
  void relieve() const;

  const RocksOptions options_;
  Folder folder_;
  DiskGauge gauge_;
  Alarm alarm_;
  Recovery recovery_;
  Events events_;
  bool adopted_ = false;
  mutable Room::Pressure relieved_ = Room::Pressure::none;     // what the lanes were told last ..
  mutable std::chrono::steady_clock::time_point relieved_at_;  // .. and when
  Mailbox mailbox_;
  std::unique_ptr<LogWork> log_;
  std::unique_ptr<DataWork> data_;
  std::unique_ptr<CachedView> cached_;
  std::shared_ptr<ImportSlot> import_;  // the one under way
  std::uint64_t imports_ = 0;
  std::unique_ptr<Lane<LogJob>> log_lane_;
  std::unique_ptr<Lane<DataJob>> data_lane_;
  std::unique_ptr<Lane<ReadJob>> read_lane_;
  std::unique_ptr<Lane<BulkJob>> bulk_lane_;
};

// --- Open, start, stop.

Status RocksStore::open() {
  options_.room->free_is(gauge_.use().free_bytes);  // RocksDB begins compactions while it opens
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
  raft::SnapshotMark mark;
  Result<std::unique_ptr<DataDb>> data = DataDb::open(options_, folder_, alarm_, mark);
  if (!data) return unexpected(data.error());
  if (Status settled = settle(**log, found, mark); !settled) {
    return fail(settled.error().code,
                "raft folder " + folder_.path() + ": " + settled.error().text);
  }
  recovery_.cluster = found.identity.cluster;
  recovery_.raft = {folder_.self(), found.state, std::move(found.floor), std::move(found.entries),
                    mark.last.index};
  adopted_ = recovery_.cluster != raft::ClusterId{};
  cached_ = std::make_unique<CachedView>((*data)->family());
  data_ =
      std::make_unique<DataWork>(std::move(*data), alarm_, mark.last, options_.row_memory_bytes);
  log_ = std::make_unique<LogWork>(
      std::move(*log), alarm_, [this](raft::Ticket ticket) { events_.durable(ticket); },
      [this](std::shared_ptr<const Staged> staged) { return flip(std::move(staged)); },
      options_.on_step);
  return Unit{};
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
  log_lane_ = make_lane<LogJob>(
      LaneName::log, lane_jobs_max,
      [this](std::vector<LogJob>& jobs, Answers& answers) { log_->run(jobs, answers); });
  data_lane_ = make_lane<DataJob>(LaneName::data, lane_jobs_max,
                                  [this](std::vector<DataJob>& jobs, Answers& answers) {
                                    data_->run(jobs, answers);
                                    gauge_.refresh();
                                    options_.room->free_is(gauge_.use().free_bytes);
                                  });
  read_lane_ = make_lane<ReadJob>(
      LaneName::read, lane_jobs_max,
      [this](std::vector<ReadJob>& jobs, Answers& answers) { run_reads(jobs, answers); });
  bulk_lane_ =
      make_lane<BulkJob>(LaneName::bulk, 1, [](std::vector<BulkJob>& jobs, Answers& answers) {
        for (const BulkJob& job : jobs) job(answers);
      });
  if (!options_.run_lane && !options_.keep_priorities) bulk([](Answers&) { yield_to_others(); });
  data_->data().on_retired([this] { bulk([this](Answers&) { data_->data().reap(); }); });
}

// The log lane waits for the data lane when it flips, and the data lane feeds the log lane when it
// trims: so the data lane stops last of the two, and what it would still feed is dropped.
RocksStore::~RocksStore() {
  if (log_lane_) log_lane_->stop();
  if (data_lane_) data_lane_->stop();
  if (read_lane_) read_lane_->stop();
  if (bulk_lane_) bulk_lane_->stop();
  if (data_) data_->data().on_retired(nullptr);
  alarm_.listen(nullptr);
  import_.reset();
  mailbox_.close();  // before the data goes: an answer may hold a view of it
}

// Asked all the time, also while nothing is written: so what waits for room hears of it from here.
DiskUse RocksStore::disk_use() const {
  DiskUse use = gauge_.use();
  options_.room->free_is(use.free_bytes);
  relieve();
  use.free_bytes = options_.room->left_bytes(use.free_bytes);
  return use;
}

void RocksStore::relieve() const {
  if (log_lane_ == nullptr || options_.run_lane) return;  // not started; no compactions
  const Room::Pressure pressure = options_.room->pressure();
  const auto now = std::chrono::steady_clock::now();
  const bool again = pressure == Room::Pressure::flush && now - relieved_at_ >= flush_interval;
  if (pressure == relieved_ && !again) return;
  relieved_ = pressure;
  relieved_at_ = now;
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
  if (write.install) {
    CHECK(import_ != nullptr && import_->staged != nullptr);
    CHECK(import_->mark == *write.install);
    // Shares the slot: the files stay until they are moved.
    const Staged* files = import_->staged.get();
    staged = std::shared_ptr<const Staged>(std::move(import_), files);
  }
  CHECK(log_lane_->push(WriteJob{std::move(write), std::move(staged)}));
}

void RocksStore::apply(Applied applied, std::function<void(Batch&)> job, Done done) {
  CHECK(data_lane_->push(BatchJob{std::move(applied), std::move(job), std::move(done)}));
}

void RocksStore::maintain(std::function<void(Batch&)> job, Done done) {
  CHECK(data_lane_->push(BatchJob{std::nullopt, std::move(job), std::move(done)}));
}

void RocksStore::trim(raft::SnapshotMark floor, Done done) {
  const raft::Index index = floor.last.index;
  auto then = [this, floor = std::move(floor), done = std::move(done)] {
    static_cast<void>(log_lane_->push(TrimJob{floor, done}));  // stopped: the next start trims
  };
  CHECK(data_lane_->push(SyncJob{index, std::move(then)}));
}

// On the log lane.
Result<RocksStore::Done> RocksStore::flip(std::shared_ptr<const Staged> staged) {
  FlipJob job{std::move(staged), {}};
  std::future<Result<std::shared_ptr<Family>>> flipped = job.flipped.get_future();
  CHECK(data_lane_->push(std::move(job)));          // it stops after this lane
  if (options_.run_lane) data_lane_->run_queued();  // nobody else would, while this one runs
  Result<std::shared_ptr<Family>> family = flipped.get();
  if (!family) return unexpected(family.error());
  // Weak: an answer that is never run must not keep the family. Gone already: a later one follows.
  return Done([this, shown = std::weak_ptr<Family>(*family)] {
    if (std::shared_ptr<Family> still = shown.lock()) cached_->show(std::move(still));
  });
}

// --- Reads.

void RocksStore::read(std::function<void(const View&)> job, Done done) {
  CHECK(read_lane_->push({cached_->family(), nullptr, std::move(job), std::move(done)}));
}

std::shared_ptr<const View> RocksStore::hold() {
  return std::make_shared<PinnedView>(std::make_shared<const Pinned>(cached_->family()), alarm_);
}

void RocksStore::read_held(std::shared_ptr<const View> view, std::function<void(const View&)> job,
                           Done done) {
  auto held = std::dynamic_pointer_cast<const PinnedView>(std::move(view));
  CHECK(held != nullptr);
  CHECK(read_lane_->push({nullptr, std::move(held), std::move(job), std::move(done)}));
}

// One pinned state serves all that asked together.
void RocksStore::run_reads(std::vector<ReadJob>& jobs, Answers& answers) {
  std::shared_ptr<Family> family;
  std::unique_ptr<PinnedView> shared;
  for (ReadJob& job : jobs) {
    if (alarm_.raised()) break;
    if (job.family != nullptr && job.family != family) {
      family = job.family;
      shared = std::make_unique<PinnedView>(std::make_shared<const Pinned>(family), alarm_);
    }
    job.job(job.held != nullptr ? *job.held : *shared);
    answers.push_back(std::move(job.done));
  }
  if (alarm_.raised()) answers.clear();
}

// --- Snapshots.

void RocksStore::bulk(BulkJob job) {
  static_cast<void>(bulk_lane_->push(std::move(job)));  // stopped: the destructor tidies up
}

std::unique_ptr<Export> RocksStore::pin() {
  auto pinned = std::make_shared<const Pinned>(cached_->family());
  rocksdb::ReadOptions read;
  read.snapshot = pinned->snapshot();
  read.read_tier = rocksdb::kBlockCacheTier;  // two records that were written just now, as a rule
  Result<raft::SnapshotMark> mark = DataDb::read_mark(pinned->family(), read);
  if (!mark) {
    read.read_tier = rocksdb::kReadAllTier;
    mark = DataDb::read_mark(pinned->family(), read);
  }
  if (!mark) alarm_.raise(mark.error());
  return std::make_unique<RocksExport>(std::move(pinned), mark ? *mark : raft::SnapshotMark{},
                                       alarm_, [this](BulkJob job) { bulk(std::move(job)); });
}

void RocksStore::import_begin(raft::SnapshotMark mark) {
  import_drop();
  import_ = std::make_shared<ImportSlot>();
  import_->mark = mark;
  std::string folder = folder_.staging_path() + "/" + std::to_string(++imports_);
  bulk([this, slot = import_, folder = std::move(folder), mark = std::move(mark)](Answers&) {
    slot->work = std::make_unique<Import>(options_, folder, mark);
  });
}

void RocksStore::import_chunk(std::string bytes, std::function<void(Status)> done) {
  CHECK(import_ != nullptr);
  bulk([this, slot = import_, bytes = std::move(bytes), done = std::move(done)](Answers& answers) {
    answers.emplace_back([done, status = stage(*slot->work, bytes)] { done(status); });
  });
}

// On the bulk lane. What compactions may want is not set aside: the snapshot replaces it all.
Status RocksStore::stage(Import& import, const std::string& bytes) const {
  const std::uint64_t wanted_bytes = options_.disk_kept_free_bytes / staging_share + bytes.size() +
                                     options_.room->unwritten_bytes();
  if (gauge_.use().free_bytes >= wanted_bytes) return import.chunk(bytes);
  return import.refuse("fewer than " +
                       std::to_string(options_.disk_kept_free_bytes / staging_share) +
                       " bytes of the disk would stay free");
}

void RocksStore::import_finish(std::function<void(Status)> done) {
  CHECK(import_ != nullptr);
  bulk([this, slot = import_, done = std::move(done)](Answers& answers) {
    answers.emplace_back([this, slot, done, finished = slot->work->finish()]() mutable {
      if (finished) slot->staged = *finished;
      done(finished ? Status(Unit{}) : unexpected(finished.error()));
      bulk([slot = std::move(slot)](Answers&) {});  // dropped meanwhile: this is the last of it
    });
  });
}

// The lane deletes the files, when it is done with them.
void RocksStore::import_drop() {
  if (import_ != nullptr) bulk([slot = std::move(import_)](Answers&) {});
}

// Without -join, an emptied folder may become a cluster of its own.
unexpected<Error> refuse_to_open(const std::string& path, const Error& error) {
  if (error.code != Errc::corrupt) return fail(error.code, error.text);
  return fail(error.code, error.text + "; where other members have the data, empty " + path +
                              " and start this node with -join");
}

}  // namespace

Result<std::unique_ptr<Store>> open_rocks(RocksOptions options) {
  CHECK(options.post != nullptr);
  CHECK(!options.path.empty());
  CHECK(options.data_files_open_max >= data_files_open_min);
  options.room = make_room(options);
  Result<Folder> folder = Folder::open(options.path, options.first_self);
  if (!folder) return refuse_to_open(options.path, folder.error());
  const std::string path = options.path;
  auto store = std::make_unique<RocksStore>(std::move(options), std::move(*folder));
  if (Status opened = store->open(); !opened) return refuse_to_open(path, opened.error());
  return std::unique_ptr<Store>(std::move(store));
}

}  // namespace iris::store
