#include "tests/sim/world.h"

#include <utility>

namespace iris::sim {

World::World(const SimOptions& given)
    : options(given), ghost(mix(given.seed)), network(*this, given.voters + given.spares) {
  for (std::size_t i = 0; i < options.voters + options.spares; ++i) {
    hosts.push_back(std::make_unique<Host>(*this, i));
  }
}

World::~World() = default;

Host* World::host_of(raft::NodeId id) {
  for (const auto& host : hosts) {
    if (host->id() == id) return host.get();
  }
  return nullptr;
}

Host* World::host_at(const std::string& address) {
  for (const auto& host : hosts) {
    if (host->address() == address) return host.get();
  }
  return nullptr;
}

Host* World::leader() {
  Host* leader = nullptr;
  for (const auto& host : hosts) {
    if (!host->runs() || !host->leads()) continue;
    if (leader == nullptr || host->node().core().term() > leader->node().core().term()) {
      leader = host.get();
    }
  }
  return leader;
}

const ModelDisk* World::disk_of(raft::NodeId id) const {
  for (const auto& host : hosts) {
    if (host->id() == id) return &host->disk();
  }
  const auto found = lost_disks_.find(id.value);
  return found == lost_disks_.end() ? nullptr : found->second.get();
}

std::vector<raft::Members> World::members_in_force() const {
  const raft::Index committed = ghost.members_index_at(ghost.committed());
  std::vector<raft::Members> all;
  if (committed.value > 0) all.push_back(ghost.members());
  for (const auto& host : hosts) {
    auto [index, members] = host->latest_members();
    if (index > committed && !members.voters.empty()) all.push_back(std::move(members));
  }
  return all;
}

void World::keep_lost(std::unique_ptr<ModelDisk> disk) {
  const std::uint64_t id = disk->self().value;
  lost_disks_[id] = std::move(disk);
}

std::unique_ptr<ModelDisk> World::take_lost(raft::NodeId id) {
  auto found = lost_disks_.extract(id.value);
  CHECK(!found.empty());
  return std::move(found.mapped());
}

}  // namespace iris::sim
