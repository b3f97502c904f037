#include "tests/raft/cluster.h"

#include <algorithm>
#include <utility>

namespace iris::raft::test {

std::vector<std::uint64_t> ids_up_to(std::uint64_t count) {
  std::vector<std::uint64_t> ids;
  for (std::uint64_t id = 1; id <= count; ++id) ids.push_back(id);
  return ids;
}

Options quick() {
  Options options;
  options.election_ticks = 10;
  options.heartbeat_ticks = 2;
  return options;
}

Member member(std::uint64_t id) { return {NodeId{id}, "node" + std::to_string(id) + ":1"}; }

Members voters(const std::vector<std::uint64_t>& ids, const std::vector<std::uint64_t>& learners) {
  Members members;
  for (const std::uint64_t id : ids) members.voters.push_back(member(id));
  for (const std::uint64_t id : learners) members.learners.push_back(member(id));
  return members;
}

EntryPtr entry(std::uint64_t term, std::uint64_t index, Payload payload) {
  return std::make_shared<const Entry>(Entry{{Term{term}, Index{index}}, std::move(payload)});
}

Disk disk_with(const Members& members, const std::vector<std::uint64_t>& terms) {
  Disk disk;
  disk.state.term = Term{1};
  disk.entries.push_back(entry(1, 1, members));
  disk.applied = Index{1};
  for (const std::uint64_t term : terms) {
    disk.entries.push_back(entry(term, disk.entries.size() + 1));
    disk.state.term = std::max(disk.state.term, Term{term});
  }
  return disk;
}

Host::Host(NodeId id, Options options, Disk disk)
    : id_(id), options_(options), disk_(std::move(disk)) {
  restart();
}

void Host::restart() {
  CHECK(!is_up());
  applied_index_ = disk_.applied;
  Recovered recovered{id_, disk_.state, disk_.floor, disk_.entries, disk_.applied};
  core_ = std::make_unique<Core>(options_, std::move(recovered));
  core_->check_invariants();
}

void Host::step(Message message) {
  core_->step(std::move(message));
  core_->check_invariants();
}

void Host::tick() {
  core_->tick();
  core_->check_invariants();
}

bool Host::receive_snapshot(const SnapshotMetadata& snapshot, NodeId from) {
  const bool installs = core_->snapshot_received(snapshot, from);
  core_->check_invariants();
  return installs;
}

void Host::snapshot_sent(NodeId to, bool ok, EntryId last) {
  core_->snapshot_sent(to, ok, last);
  core_->check_invariants();
}

void Host::flush(std::deque<Message>& wire) {
  if (!is_up()) return;
  while (core_->has_output()) {
    Output output = core_->take_output();
    core_->check_invariants();
    if (on_output) on_output(output);
    if (output.write) jobs_.push_back({std::move(*output.write), {}});
    for (Message& message : output.release) {
      if (jobs_.empty()) {
        leave(wire, std::move(message));
      } else {
        jobs_.back().waiting.push_back(std::move(message));
      }
    }
    for (Message& message : output.send) leave(wire, std::move(message));
    for (EntryPtr& committed : output.commit) handed_.push_back(std::move(committed));
    reads.insert(reads.end(), output.reads.begin(), output.reads.end());
    snapshots_wanted.insert(snapshots_wanted.end(), output.snapshots_wanted.begin(),
                            output.snapshots_wanted.end());
    if (output.halt) {
      halted = output.halt;
      removed = output.removed;
    }
    if (auto_apply) apply();
  }
}

void Host::persist(std::deque<Message>& wire, std::size_t jobs) {
  while (is_up() && jobs-- > 0 && !jobs_.empty()) {
    Job job = std::move(jobs_.front());
    jobs_.pop_front();
    do_job(job.write);
    for (Message& message : job.waiting) leave(wire, std::move(message));
    core_->persisted(job.write.ticket);
    core_->check_invariants();
  }
}

void Host::leave(std::deque<Message>& wire, Message message) const {
  if (on_leave) on_leave(message);
  wire.push_back(std::move(message));
}

std::vector<EntryPtr> Host::queued_entries() const {
  std::vector<EntryPtr> queued;
  for (const Job& job : jobs_) {
    queued.insert(queued.end(), job.write.entries.begin(), job.write.entries.end());
  }
  return queued;
}

void Host::do_job(const LogWrite& write) {
  if (write.state) disk_.state = *write.state;
  if (write.install) {
    disk_.floor = *write.install;
    disk_.entries.clear();
    disk_.applied = write.install->last.index;
    std::erase_if(handed_, [&](const EntryPtr& handed) {
      return handed->id.index <= write.install->last.index;
    });
    applied_.clear();
    applied_index_ = std::max(applied_index_, disk_.applied);
  }
  if (write.entries.empty()) return;
  const Index from = write.entries.front()->id.index;
  CHECK(from > disk_.floor.last.index);
  const std::size_t keep = from.value - disk_.floor.last.index.value - 1;
  CHECK(keep <= disk_.entries.size());
  disk_.entries.resize(keep);
  disk_.entries.insert(disk_.entries.end(), write.entries.begin(), write.entries.end());
}

void Host::apply(Index limit) {
  std::size_t done = 0;
  while (done < handed_.size() && handed_[done]->id.index <= limit) {
    CHECK(handed_[done]->id.index == applied_index_.next());
    applied_index_ = handed_[done]->id.index;
    disk_.applied = applied_index_;
    applied_.push_back(handed_[done]);
    ++done;
  }
  handed_.erase(handed_.begin(), handed_.begin() + static_cast<std::ptrdiff_t>(done));
  if (done > 0) {
    core_->applied(applied_index_);
    core_->check_invariants();
  }
}

void Host::crash(std::size_t kept, Index data_kept) {
  for (std::size_t job = 0; job < kept && job < jobs_.size(); ++job) do_job(jobs_[job].write);
  disk_.applied = std::max(disk_.floor.last.index, std::min(disk_.applied, data_kept));
  core_.reset();
  jobs_.clear();
  handed_.clear();
  applied_.clear();
  reads.clear();
  snapshots_wanted.clear();
  halted.reset();
  removed = false;
}

void Host::trim(Index floor) {
  SnapshotMetadata new_floor = core_->snapshot_metadata_at(floor);
  core_->trim(floor);
  core_->check_invariants();
  std::erase_if(disk_.entries, [floor](const EntryPtr& kept) { return kept->id.index <= floor; });
  disk_.floor = std::move(new_floor);
}

SnapshotMetadata Host::snapshot() const { return core_->snapshot_metadata_at(applied_index_); }

Cluster::Cluster(std::uint64_t count, Options options) : options_(options) {
  const std::vector<std::uint64_t> ids = ids_up_to(count);
  for (const std::uint64_t id : ids) add(id, disk_with(voters(ids)));
}

Host& Cluster::add(std::uint64_t id, Disk disk) {
  auto host = std::make_unique<Host>(NodeId{id}, options_, std::move(disk));
  return *hosts_.insert_or_assign(id, std::move(host)).first->second;
}

void Cluster::flush(std::uint64_t id) { hosts_.at(id)->flush(wire); }

void Cluster::deliver(Message message) {
  const auto host = hosts_.find(message.to.value);
  if (host == hosts_.end() || !host->second->is_up()) return;
  host->second->step(std::move(message));
  host->second->flush(wire);
}

void Cluster::settle() {
  settle([](const Message&) { return false; });
}

void Cluster::settle(const std::function<bool(const Message&)>& lost) {
  // One input has bounded consequences: a storm of messages fails here (hazard 37).
  for (std::size_t steps = 0; steps < 1'000'000; ++steps) {
    for (auto& [id, host] : hosts_) {
      host->flush(wire);
      host->persist(wire);
      host->flush(wire);
    }
    if (wire.empty()) {
      const bool idle = std::all_of(hosts_.begin(), hosts_.end(), [](const auto& host) {
        return !host.second->is_up() ||
               (host.second->queued_jobs() == 0 && !host.second->core().has_output());
      });
      if (idle) return;
      continue;
    }
    Message message = std::move(wire.front());
    wire.pop_front();
    if (!lost(message)) deliver(std::move(message));
  }
  CHECK(false && "the cluster does not come to rest");
}

void Cluster::tick(std::uint64_t id, std::uint32_t ticks) {
  for (std::uint32_t tick = 0; tick < ticks; ++tick) {
    hosts_.at(id)->tick();
    flush(id);
  }
}

void Cluster::tick_all(std::uint32_t ticks) {
  for (std::uint32_t tick = 0; tick < ticks; ++tick) {
    for (auto& [id, host] : hosts_) {
      if (host->is_up()) host->tick();
    }
    settle();
  }
}

void Cluster::elect(std::uint64_t id) {
  core(id).campaign();
  core(id).check_invariants();
  settle();
  CHECK(core(id).role() == Role::leader);
}

EntryId Cluster::propose(std::uint64_t id, std::string command) {
  Result<EntryId> proposed = core(id).propose(std::move(command));
  CHECK(proposed.has_value());
  core(id).check_invariants();
  settle();
  return *proposed;
}

void Cluster::send_snapshots(std::uint64_t leader) {
  Host& from = *hosts_.at(leader);
  for (const NodeId to : std::exchange(from.snapshots_wanted, {})) {
    const SnapshotMetadata sent = from.snapshot();
    const auto host = hosts_.find(to.value);
    const bool arrives = host != hosts_.end() && host->second->is_up();
    if (arrives) {
      host->second->receive_snapshot(sent, from.id());
      settle();
    }
    from.snapshot_sent(to, arrives, sent.last);
  }
  settle();
}

std::uint64_t Cluster::leader() {
  std::uint64_t best = 0;
  for (auto& [id, host] : hosts_) {
    if (!host->is_up() || host->core().role() != Role::leader) continue;
    if (best == 0 || host->core().term() > core(best).term()) best = id;
  }
  return best;
}

}  // namespace iris::raft::test
