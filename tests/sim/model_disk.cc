#include "tests/sim/model_disk.h"

#include <utility>

namespace iris::sim {
namespace {

// Number of states to which a crash may fall back; beyond it every second old one is dropped.
constexpr std::size_t versions_max = 2048;

}  // namespace

std::uint64_t DataState::digest() const {
  std::uint64_t result = mix(applied.index.value) ^ mix(applied.term.value + 1);
  for (std::size_t i = 0; i < tables.size(); ++i) {
    result = mix(result + tables[i].digest() + maintained[i]);
  }
  return result;
}

std::uint64_t DataState::bytes() const {
  std::uint64_t result = 0;
  for (const PersistentMap& table : tables) result += table.bytes();
  return result;
}

bool LogState::holds(raft::EntryId id) const {
  if (id == floor.last) return true;
  if (id.index <= floor.last.index || id.index > last()) return false;
  return entries[id.index.value - floor.last.index.value - 1]->id == id;
}

ModelDisk::ModelDisk(raft::NodeId self, std::uint64_t seed)
    : self_(self),
      random_(seed),
      durable_data_(std::make_shared<DataState>()),
      versions_{durable_data_} {}

void ModelDisk::preload(raft::ClusterId cluster, const raft::EntryPtr& first) {
  CHECK(!open_ && log_.entries.empty() && log_.cluster.value == 0);
  log_.cluster = cluster;
  log_.state.term = first->id.term;
  log_.entries.push_back(first);
  log_.bytes = raft::entry_bytes(*first);
}

std::uint64_t ModelDisk::used_bytes() const { return log_.bytes + data().bytes(); }

void ModelDisk::crash(Crash crash) {
  CHECK(!open_);
  std::size_t jobs = pending_.size();
  if (crash.log == Keep::none) jobs = 0;
  if (crash.log == Keep::some) jobs = random_.below(pending_.size() + 1);
  // The data is chosen first: an install that survives replaces whatever was chosen.
  std::size_t version = versions_.size() - 1;
  if (crash.data == Keep::none) version = 0;
  if (crash.data == Keep::some) version = random_.below(versions_.size());
  versions_ = {versions_[version]};
  durable_data_ = versions_.front();

  for (std::size_t i = 0; i < jobs; ++i) do_log_job(pending_[i]);
  if (jobs < pending_.size() && pending_[jobs].staged != nullptr && crash.torn_install &&
      crash.log == Keep::some && random_.below(2) == 0) {
    do_install(pending_[jobs]);
  }
  pending_.clear();
}

void ModelDisk::do_log_job(const LogJob& job) {
  if (job.adopt) log_.cluster = *job.adopt;
  if (job.trim) do_trim(*job.trim);
  if (!job.write) return;
  if (job.write->install) {
    do_install(job);
    log_.floor = *job.write->install;
    log_.entries.clear();
    log_.bytes = 0;
  }
  if (job.write->state) log_.state = *job.write->state;
  do_entries(*job.write);
}

void ModelDisk::do_install(const LogJob& job) {
  durable_data_ = job.staged;
  versions_ = {durable_data_};
}

void ModelDisk::do_entries(const raft::LogWrite& write) {
  if (write.entries.empty()) return;
  const raft::Index first = write.entries.front()->id.index;
  CHECK(first > log_.floor.last.index);
  CHECK(first <= log_.last().next());
  // Applied entries are committed, and committed entries are never replaced.
  CHECK(first > data().applied.index);
  while (log_.last() >= first) {
    log_.bytes -= raft::entry_bytes(*log_.entries.back());
    log_.entries.pop_back();
  }
  for (const raft::EntryPtr& entry : write.entries) {
    CHECK(entry->id.index == log_.last().next());
    CHECK(log_.entries.empty() ? entry->id.term >= log_.floor.last.term
                               : entry->id.term >= log_.entries.back()->id.term);
    log_.entries.push_back(entry);
    log_.bytes += raft::entry_bytes(*entry);
  }
}

void ModelDisk::do_trim(const raft::SnapshotMetadata& floor) {
  if (floor.last.index <= log_.floor.last.index) return;  // an install overtook it
  CHECK(floor.last.index <= durable_data_->applied.index);
  CHECK(log_.holds(floor.last));
  while (log_.floor.last.index < floor.last.index) {
    log_.bytes -= raft::entry_bytes(*log_.entries.front());
    log_.floor.last = log_.entries.front()->id;
    log_.entries.pop_front();
  }
  log_.floor = floor;
}

void ModelDisk::sync_data() {
  durable_data_ = versions_.back();
  versions_ = {durable_data_};
  ++syncs_;
}

void ModelDisk::add_version(DataState state) {
  versions_.push_back(std::make_shared<const DataState>(std::move(state)));
  if (random_.chance(profile.background_flush_per_million)) sync_data();
  if (versions_.size() <= versions_max) return;
  // Thin out the older half; the first is what was synced and stays.
  std::size_t kept = 1;
  for (std::size_t i = 1; i < versions_.size(); ++i) {
    if (i > versions_max / 2 || i % 2 == 0) versions_[kept++] = std::move(versions_[i]);
  }
  versions_.resize(kept);
}

raft::Recovered ModelDisk::recover() {
  // Clean close: the lanes were drained.
  for (const LogJob& job : pending_) do_log_job(job);
  pending_.clear();

  const raft::EntryId applied = data().applied;
  CHECK(applied.index >= log_.floor.last.index);
  if (!log_.holds(applied)) {
    log_.floor = data().mark();
    log_.entries.clear();
    log_.bytes = 0;
  }
  raft::Recovered recovered;
  recovered.self = self_;
  recovered.state = log_.state;
  recovered.floor = log_.floor;
  recovered.entries.assign(log_.entries.begin(), log_.entries.end());
  recovered.applied = applied.index;
  return recovered;
}

}  // namespace iris::sim
