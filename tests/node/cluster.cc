#include "tests/node/cluster.h"

#include <algorithm>

#include "raft/members.h"
#include "src/base/log.h"
#include "tests/catch.h"

namespace iris::test {
namespace {

template <class T>
auto record(const std::shared_ptr<Answer<T>>& answer) {
  return [answer](Result<T> result) { answer->got.push_back(std::move(result)); };
}

}  // namespace

// --- FakeTransport.

bool FakeTransport::knows(raft::NodeId id) const {
  return std::any_of(peers_.begin(), peers_.end(),
                     [&](const raft::Member& peer) { return peer.id == id; });
}

std::optional<raft::Level> FakeTransport::level_of(raft::NodeId to) const {
  if (!knows(to) || broken.contains(to) || !cluster_.links_.contains({self_, to})) {
    return std::nullopt;
  }
  return cluster_.node(to.value).level();
}

void FakeTransport::send(raft::NodeId to, PeerBody body) {
  if (!knows(to)) return;
  cluster_.wire.push_back({self_, to, std::move(body)});
}

void FakeTransport::probe(const std::string& address,
                          std::function<void(Result<PeerIdentity>)> done) {
  cluster_.probes_.emplace_back([this, address, done = std::move(done)] {
    for (const auto& [id, known] : cluster_.addresses_) {
      const auto alias = cluster_.aliases_.find(address);
      if (known != (alias != cluster_.aliases_.end() ? alias->second : address) ||
          !cluster_.reachable(self_, id))
        continue;
      const Status greeted = cluster_.at(id.value).node->greet(cluster_.identity(self_));
      if (!greeted && cluster_.greet_probes) return done(fail(Errc::refused, greeted.error().text));
      return done(cluster_.identity(id));
    }
    done(fail(Errc::io, "connection refused"));
  });
}

// --- Processes.

Cluster::Cluster(NodeOptions options) : options_(std::move(options)) {
  set_log_level(LogLevel::error);
}

NodeOptions Cluster::small() {
  NodeOptions options;
  options.raft.election_ticks = 10;
  options.raft.heartbeat_ticks = 2;
  options.tick_ms = 10;
  options.disk_reserve_bytes = 0;
  options.state_check_interval_ms = 0;
  return options;
}

Process& Cluster::add(std::uint64_t id, const std::string& address) {
  disks_[{id}] = std::make_unique<sim::ModelDisk>(raft::NodeId{id}, id);
  addresses_[{id}] = address.empty() ? "host-" + std::to_string(id) + ":1" : address;
  return restart(id);
}

Process& Cluster::restart(std::uint64_t id, const std::string& address) {
  const raft::NodeId self{id};
  if (!address.empty()) addresses_[self] = address;
  auto process = std::make_unique<Process>();
  Process* raw = process.get();
  process->transport = std::make_unique<FakeTransport>(*this, self);
  process->store = std::make_unique<sim::ModelStore>(*disks_.at(self));
  NodeOptions options = options_;
  options.address = addresses_.at(self);
  if (const auto level = levels_.find(self); level != levels_.end()) options.level = level->second;
  options.raft.seed = options.life_seed = options.cluster_seed = ++lives_;
  NodeHooks hooks;
  hooks.schedule_flush = [raw] {
    CHECK(!raw->flush_due);  // once a turn
    raw->flush_due = true;
  };
  hooks.on_applied = [raw](const raft::EntryPtr& entry, const Outcome& outcome) {
    raw->applied.emplace_back(entry, outcome);
  };
  hooks.on_installed = [raw](raft::Index index) { raw->installed.push_back(index); };
  hooks.on_trimmed = [raw](raft::Index floor) { raw->trimmed.push_back(floor); };
  hooks.log_kept = [this] { return log_kept; };
  hooks.on_halt = [raw](bool clean, Error why) {
    CHECK(!raw->halted);
    raw->halted = {clean, std::move(why)};
  };
  process->node = std::make_unique<Node>(options, *process->store, *process->transport, hooks);
  processes_[self] = std::move(process);
  raw->node->start();
  return *raw;
}

void Cluster::crash(std::uint64_t id) {
  processes_.erase({id});
  std::erase_if(
      links_, [&](const auto& link) { return link.first.value == id || link.second.value == id; });
  std::erase_if(wire, [&](const Packet& packet) { return packet.from.value == id; });
  disks_.at({id})->crash({sim::ModelDisk::Keep::none, sim::ModelDisk::Keep::none, false});
}

void Cluster::form(std::uint64_t count) {
  add(1);
  node(1).bootstrap();
  REQUIRE(until([&] { return leader() == 1; }));
  for (std::uint64_t id = 2; id <= count; ++id) {
    add(id);
    const AdminAnswer joined = join(1, addresses_.at({id}));
    REQUIRE(until([&] { return joined->ok() && is_voter(1, id) && is_voter(id, id); }));
  }
}

// --- Time.

bool Cluster::step_process(Process& process) {
  if (process.paused) return false;
  bool moved = false;
  if (process.flush_due) {
    process.flush_due = false;
    process.node->flush();
    process.node->core().check_invariants();
    moved = true;
  }
  if (!process.hold_log) moved = process.store->run(sim::Lane::log) || moved;
  if (!process.hold_data) moved = process.store->run(sim::Lane::data) || moved;
  return process.store->run(sim::Lane::read) || moved;
}

void Cluster::settle() {
  for (bool moved = true; moved;) {
    moved = false;
    for (auto& [id, process] : processes_) moved = step_process(*process) || moved;
    for (std::size_t waiting = wire.size(); waiting > 0; --waiting) {
      Packet packet = std::move(wire.front());
      wire.pop_front();
      const auto to = processes_.find(packet.to);
      if (to != processes_.end() && to->second->paused) {
        wire.push_back(std::move(packet));  // stays in the socket's buffer
        continue;
      }
      moved = true;
      deliver(std::move(packet));
    }
    if (!probes_.empty()) {
      const auto probe = std::move(probes_.front());
      probes_.pop_front();
      probe();
      moved = true;
    }
  }
}

void Cluster::tick(std::uint64_t ticks) {
  for (; ticks > 0; --ticks) {
    for (auto& [id, process] : processes_) {
      if (!process->paused) process->node->tick();
    }
    settle();
  }
}

bool Cluster::until(const std::function<bool()>& condition, std::uint64_t ticks_max) {
  settle();
  while (!condition()) {
    if (ticks_max-- == 0) return false;
    tick();
  }
  return true;
}

std::uint64_t Cluster::leader() const {
  std::uint64_t best = 0;
  raft::Term term;
  for (const auto& [id, process] : processes_) {
    const raft::Core& core = process->node->core();
    if (process->halted || core.role() != raft::Role::leader || core.term() <= term) continue;
    best = id.value;
    term = core.term();
  }
  return best;
}

std::uint64_t Cluster::wait_for_leader() {
  REQUIRE(until([&] { return leader() != 0; }));
  return leader();
}

// --- Network.

bool Cluster::reachable(raft::NodeId from, raft::NodeId to) const {
  const auto process = processes_.find(to);
  return process != processes_.end() && !process->second->halted && !cuts_.contains({from, to});
}

PeerIdentity Cluster::identity(raft::NodeId id) {
  PeerIdentity self = processes_.at(id)->node->identity();
  self.node = id;  // also of one that has not begun to take part
  return self;
}

void Cluster::deliver(Packet packet) {
  if (!processes_.contains(packet.from) || !reachable(packet.from, packet.to)) return;
  // The node that is dialled may not be at that address any more.
  for (const raft::Member& peer : at(packet.from.value).transport->peers()) {
    if (peer.id == packet.to && peer.address != addresses_.at(packet.to)) return;
  }
  if (!links_.contains({packet.from, packet.to})) {
    if (greets && !at(packet.to.value).node->greet(identity(packet.from))) return;
    links_.insert({packet.from, packet.to});
  }
  if (keep && keep(packet)) {
    kept.push_back(std::move(packet));
    return;
  }
  at(packet.to.value).node->receive({packet.from, std::move(packet.body)});
}

void Cluster::isolate(std::uint64_t id) {
  for (const auto& [other, process] : processes_) {
    if (other.value == id) continue;
    cut(id, other.value);
    cut(other.value, id);
  }
}

void Cluster::deliver_kept() {
  keep = nullptr;
  for (Packet& packet : kept) wire.push_back(std::move(packet));
  kept.clear();
  settle();
}

// --- Calls.

WriteAnswer Cluster::submit(std::uint64_t id, const Operation& operation, std::uint64_t ms) {
  auto answer = std::make_shared<Answer<Outcome>>();
  node(id).submit(operation, ms, record(answer));
  CHECK(answer->pending());  // never from inside the call
  return answer;
}

WriteAnswer Cluster::set(std::uint64_t id, const std::string& key, const std::string& value,
                         std::uint64_t ms) {
  return submit(id, SetValue{"source", key, value, std::nullopt}, ms);
}

void Cluster::write(int count, std::size_t bytes) {
  for (; count > 0; --count) {
    const WriteAnswer wrote = set(wait_for_leader(), "k", std::string(bytes, 'x'));
    REQUIRE(until([&] { return wrote->ok(); }));
  }
}

ReadAnswer Cluster::read(std::uint64_t id, Consistency consistency, std::uint64_t min_revision,
                         std::uint64_t ms) {
  auto answer = std::make_shared<Answer<Unit>>();
  node(id).read(consistency, min_revision, ms, record(answer));
  CHECK(answer->pending());
  return answer;
}

AdminAnswer Cluster::admin(std::uint64_t id, AdminRequest request, std::uint64_t ms) {
  auto answer = std::make_shared<Answer<raft::NodeId>>();
  node(id).admin(std::move(request), ms, record(answer));
  CHECK(answer->pending());
  return answer;
}

AdminAnswer Cluster::admin(std::uint64_t id, AdminRequest::Kind kind, std::uint64_t node,
                           std::uint64_t ms) {
  AdminRequest request;
  request.kind = kind;
  request.node = {node};
  return admin(id, std::move(request), ms);
}

AdminAnswer Cluster::join(std::uint64_t id, const std::string& address, std::uint64_t ms) {
  AdminRequest request;
  request.kind = AdminRequest::Kind::join;
  request.address = address;
  return admin(id, std::move(request), ms);
}

AdminAnswer Cluster::remove(std::uint64_t id, std::uint64_t node) {
  return admin(id, AdminRequest::Kind::remove, node);
}

AdminAnswer Cluster::transfer(std::uint64_t id, std::uint64_t to, std::uint64_t ms) {
  return admin(id, AdminRequest::Kind::transfer, to, ms);
}

std::string Cluster::value(std::uint64_t id, const std::string& key) {
  Value value;
  const store::Found found = get_value(at(id).store->cached(), "source", key, value);
  return found == store::Found::yes ? value.bytes : "";
}

std::size_t Cluster::voters(std::uint64_t seen_by) {
  return node(seen_by).core().members().voters.size();
}

bool Cluster::is_voter(std::uint64_t seen_by, std::uint64_t id) {
  const raft::Members& members = node(seen_by).core().members();
  return !raft::is_joint(members) && raft::contains(members.voters, {id});
}

}  // namespace iris::test
