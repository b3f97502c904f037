#include "tests/sim/rocks_disk.h"

#include <rocksdb/env.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <utility>

#include "tests/sim/ghost.h"
#include "tests/sim/report.h"

namespace iris::sim {

namespace {

namespace fs = std::filesystem;

// Small limits, so that RocksDB writes tables, too.
constexpr std::size_t memtable_bytes = 256u << 10;
// So large that nothing is ever dropped: what a cache drops depends on a random number of the
// process and on its heap, and a run would not replay.
constexpr std::size_t block_cache_bytes = 256u << 20;
// Of one lane's job, which is over before a memtable is flushed.
constexpr int memtables_max = 1'000;

std::string new_folder() {
  static std::uint64_t made = 0;
  const fs::path memory = "/dev/shm";  // files that the store writes without RocksDB
  const fs::path base = fs::exists(memory) ? memory : fs::temp_directory_path();
  return (base / ("iris-sim-" + std::to_string(::getpid()) + "-" + std::to_string(++made)))
      .string();
}

void restart(LogState& log, const raft::SnapshotMetadata& mark) {
  const bool kept = log.holds(mark.last);
  while (!log.entries.empty() && (!kept || log.entries.front()->id.index <= mark.last.index)) {
    log.entries.pop_front();
  }
  log.floor = mark;
}

void append(LogState& log, const std::vector<raft::EntryPtr>& entries) {
  if (entries.empty()) return;
  while (log.last() >= entries.front()->id.index) log.entries.pop_back();
  log.entries.insert(log.entries.end(), entries.begin(), entries.end());
}

void follow(LogState& log, const LogJob& job) {
  if (job.adopt) log.cluster = *job.adopt;
  if (!job.write) return;
  if (job.write->state) log.state = *job.write->state;
  if (job.write->install) restart(log, *job.write->install);
  append(log, job.write->entries);
}

std::uint64_t bytes_of(const LogState& log) {
  std::uint64_t sum = 0;
  for (const raft::EntryPtr& entry : log.entries) sum += raft::entry_bytes(*entry);
  return sum;
}

// All tables but the store's own.
DataState read_state(const store::View& view) {
  DataState state;
  for (std::size_t table = 1; table < table_count; ++table) {
    for (auto row = view.scan(store::Table{static_cast<std::uint8_t>(table)}, "", ""); row->valid();
         row->next()) {
      state.tables[table].put(row->key(), row->value());
    }
  }
  state.applied.index = view.applied();
  return state;
}

bool same_tables(const DataState& one, const DataState& other) {
  for (std::size_t table = 1; table < table_count; ++table) {
    if (one.tables[table].digest() != other.tables[table].digest()) return false;
  }
  return true;
}

std::string describe(const LogState& log) {
  return "floor " + to_text(log.floor.last) + ", " + std::to_string(log.entries.size()) +
         " entries, term " + std::to_string(log.state.term.value) + ", vote " +
         to_text(log.state.vote);
}

}  // namespace

RocksDisk::RocksDisk(ModelDisk& model, SharedDigests& digests, std::uint64_t seed)
    : model_(model),
      digests_(digests),
      path_(new_folder()),
      files_(std::make_shared<RocksFiles>(seed)),
      env_(files_) {
  RocksEnv::same_chances();
  open();
}

RocksDisk::~RocksDisk() {
  close(std::move(store_));
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

void RocksDisk::open() {
  // The store deletes these files itself, not through RocksDB.
  if (!fs::exists(path_ + "/identity")) files_->remove_tree(path_);
  files_->remove_tree(path_ + "/staging");
  store::RocksOptions options;
  options.path = path_;
  options.first_self = model_.self();
  options.env = &env_;
  options.log_memtable_bytes = options.data_memtable_bytes = memtable_bytes;
  options.memtables_max = memtables_max;
  options.block_cache_bytes = block_cache_bytes;
  options.on_step = [this](std::string_view step) { on_step(step); };
  options.post = [this](std::function<void()> job) { hooks_.post(std::move(job)); };
  options.run_lane = [this](store::LaneName lane, std::function<void()> work) {
    hooks_.run_lane(lane, std::move(work));
  };
  auto opened = store::open_rocks(std::move(options));
  VERIFY(opened, "RP",
         "node " + to_text(model_.self()) + " does not start: " + opened.error().text);
  store_ = std::move(*opened);
  env_.settle();
}

void RocksDisk::on_step(std::string_view step) {
  if (step == "data flipped") {
    flipped();
    env_.settle();
    beside_.emplace(env_);  // the store waits for a flush
  } else if (step == "data flushed") {
    beside_.reset();
  }
}

void RocksDisk::lane_ended() {
  beside_.reset();  // the install failed on its way
  env_.settle();
}

Error RocksDisk::without_path(Error error) const {
  std::size_t at = 0;
  while ((at = error.text.find(path_)) != std::string::npos) {
    error.text.replace(at, path_.size(), "FOLDER");
  }
  return error;
}

void RocksDisk::close(std::unique_ptr<store::Store> taken) {
  env_.settle();
  const RocksEnv::BesideThreads beside(env_);
  taken.reset();
}

void RocksDisk::preload(raft::ClusterId cluster, const raft::EntryPtr& first) {
  std::deque<std::function<void()>> due;
  hooks_ = {[&](std::function<void()> job) { due.push_back(std::move(job)); },
            [&](store::LaneName, std::function<void()> work) { due.push_back(std::move(work)); }};
  bool done = false;
  store_->start({[&](raft::Ticket) { done = true; }, [](const Error&) {}});
  store_->adopt(cluster, [] {});
  store_->write({{1}, raft::HardState{first->id.term, {}}, std::nullopt, {first}});
  for (; !due.empty(); due.pop_front()) due.front()();
  CHECK(done);
  close(std::move(store_));
  hooks_ = {};
  model_.preload(cluster, first);
  open();
  settle();
}

std::unique_ptr<store::Store> RocksDisk::take(Hooks hooks) {
  CHECK(store_ != nullptr);
  hooks_ = std::move(hooks);
  return std::move(store_);
}

void RocksDisk::crash(std::unique_ptr<store::Store> taken, bool keep_unsynced) {
  files_->die();
  close(std::move(taken));
  hooks_ = {};
  files_->power_on(keep_unsynced);
  open();
  settle();
}

// --- The model.

std::uint64_t RocksDisk::asked(LogJob job) {
  model_.pending_.push_back(std::move(job));
  return first_pending_ + model_.pending_.size() - 1;
}

void RocksDisk::durable(std::uint64_t number) {
  for (; first_pending_ <= number; ++first_pending_) {
    const LogJob job = std::move(model_.pending_.front());
    model_.pending_.pop_front();
    follow(model_.log_, job);
    if (job.staged != nullptr) {
      CHECK(std::exchange(flipped_, false));
    }
  }
  model_.log_.bytes = bytes_of(model_.log_);
  ++model_.syncs_;
}

// The data of the first pending install is in force now; its log is not restarted yet.
void RocksDisk::flipped() {
  CHECK(!std::exchange(flipped_, true));
  for (const LogJob& job : model_.pending_) {
    if (job.staged == nullptr) continue;
    model_.durable_data_ = job.staged;
    model_.versions_ = {job.staged};
    return;
  }
  CHECK(!"an install that nobody asked for");
}

void RocksDisk::trim_asked(const raft::SnapshotMetadata& floor) {
  trims_.push_back(floor);
  trim_applied_.push_back(model_.data().applied.index);
}

void RocksDisk::trim_done() {
  CHECK(!trims_.empty());
  const raft::SnapshotMetadata floor = std::move(trims_.front());
  trims_.pop_front();
  // The data is synced at least up to the applied index at the request.
  auto& versions = model_.versions_;
  const auto synced = std::find_if(versions.begin(), versions.end(), [&](const DataPtr& each) {
    return each->applied.index >= trim_applied_.front();
  });
  trim_applied_.pop_front();
  if (synced != versions.end()) versions.erase(versions.begin(), synced);
  model_.durable_data_ = versions.front();
  LogState& log = model_.log_;
  if (floor.last.index > log.floor.last.index) restart(log, floor);
  log.bytes = bytes_of(log);
}

void RocksDisk::applied(DataState state) {
  model_.versions_.push_back(std::make_shared<const DataState>(std::move(state)));
}

// --- After a crash.

std::vector<RocksDisk::Candidate> RocksDisk::candidates() const {
  std::vector<Candidate> all = {{model_.log_, nullptr}};
  for (const LogJob& job : model_.pending_) {
    Candidate next = all.back();
    if (job.staged != nullptr) {
      // Three steps on a real disk: the term and a note, the data, the log.
      if (job.write->state) next.log.state = *job.write->state;
      all.push_back(next);
      restart(next.log, *job.write->install);
      next.installed = job.staged;
      all.push_back(next);
    }
    follow(next.log, job);
    all.push_back(std::move(next));
  }
  return all;
}

bool RocksDisk::fits(const Candidate& candidate, const store::Recovery& found) const {
  LogState log = candidate.log;
  const raft::SnapshotMetadata& floor = found.raft.floor;
  const bool trimmed = std::find(trims_.begin(), trims_.end(), floor) != trims_.end();
  if (trimmed && floor.last.index > log.floor.last.index && log.holds(floor.last)) {
    restart(log, floor);
  }
  return found.cluster == log.cluster && found.raft.state == log.state && floor == log.floor &&
         std::equal(log.entries.begin(), log.entries.end(), found.raft.entries.begin(),
                    found.raft.entries.end(),
                    [](const auto& one, const auto& other) { return *one == *other; });
}

DataPtr RocksDisk::matching_data(const Candidate& candidate, const DataState& found) const {
  std::vector<DataPtr> all = model_.versions_;
  if (candidate.installed != nullptr && !flipped_) all = {candidate.installed};
  for (const DataPtr& each : all) {
    if (each->applied.index == found.applied.index && same_tables(*each, found)) return each;
  }
  return nullptr;
}

void RocksDisk::settle() {
  const store::Recovery& found = store_->recovered();
  const std::string who = "node " + to_text(model_.self());
  const std::shared_ptr<const store::View> view = store_->hold();
  const DataState data = read_state(*view);
  bool log_fits = false;
  DataPtr survived;
  for (const Candidate& candidate : candidates()) {
    if (!fits(candidate, found)) continue;
    log_fits = true;
    if (DataPtr match = matching_data(candidate, data)) survived = std::move(match);
  }
  LogState log;
  log.cluster = found.cluster;
  log.state = found.raft.state;
  log.floor = found.raft.floor;
  log.entries.assign(found.raft.entries.begin(), found.raft.entries.end());
  log.bytes = bytes_of(log);
  VERIFY(log_fits, "ACK",
         who + " has after a crash " + describe(log) + "; acknowledged was " +
             describe(model_.log_) + ", and " + std::to_string(model_.pending_.size()) +
             " more jobs were asked for");
  VERIFY(survived != nullptr, "RP",
         who + " has after a crash data at " + std::to_string(data.applied.index.value) +
             " that it never had, or had synced beyond: " +
             std::to_string(model_.durable_data_->applied.index.value));
  VERIFY(survived->applied.index == found.raft.applied, "RP", who + ": applied is another");
  model_.log_ = std::move(log);
  model_.durable_data_ = survived;
  model_.versions_ = {survived};
  first_pending_ += model_.pending_.size();
  model_.pending_.clear();
  flipped_ = false;
  trims_.clear();
  trim_applied_.clear();
}

}  // namespace iris::sim
