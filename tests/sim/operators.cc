#include "tests/sim/operators.h"

#include <algorithm>
#include <string>
#include <utility>

#include "raft/members.h"
#include "tests/sim/report.h"
#include "tests/sim/world.h"

namespace iris::sim {
namespace {

constexpr std::uint64_t join_every_us = 500'000;
constexpr std::uint64_t change_ms = 10'000;

}  // namespace

Operators::Operators(World& world, Calls& calls, Nemesis& nemesis)
    : world_(world),
      calls_(calls),
      nemesis_(nemesis),
      random_(world.random(RandomStream::members)),
      asking_(world.hosts.size()) {
  for (const Fault fault : {Fault::old_folder, Fault::stray_folder, Fault::join, Fault::remove,
                            Fault::remove_leader, Fault::transfer, Fault::address}) {
    if (world.options.has(fault)) enabled_.push_back(fault);
  }
}

void Operators::start() {
  ask_to_join();
  if (!enabled_.empty()) later();
}

void Operators::count(Fault fault) {
  ++world_.stats.faults[static_cast<std::size_t>(fault)];
  TRACE(-1, "operator: " + std::string(name_of(fault)));
}

void Operators::later() {
  world_.timeline.after(random_.below(4 * world_.options.fault_every_us) + 1, [this] {
    if (stopped_) return;
    act();
    later();
  });
}

Host* Operators::pick_voice() {
  std::vector<Host*> candidates;
  for (const auto& host : world_.hosts) {
    if (host->runs() && host->node().admitted()) candidates.push_back(host.get());
  }
  return candidates.empty() ? nullptr : candidates[random_.below(candidates.size())];
}

// Every running host without a configuration asks some host for admission. A removed one that a
// call under way admitted again is started again.
void Operators::ask_to_join() {
  for (const auto& host : world_.hosts) {
    const bool member = raft::find_staying(world_.ghost.members(), host->id()) != nullptr;
    if (host->state() == Host::State::removed && member) host->start();
  }
  for (const auto& host : world_.hosts) {
    const std::size_t number = host->number();
    if (!host->runs() || asking_[number] || host->node().admitted()) continue;
    Host* voice = pick_voice();
    if (voice == nullptr) break;
    asking_[number] = true;
    AdminRequest request;
    request.kind = AdminRequest::Kind::join;
    request.address = host->address();
    calls_.admin(*voice, request, change_ms, [this, number](bool, const std::string& text) {
      TRACE(static_cast<int>(number), "join: " + text);
      asking_[number] = false;
    });
  }
  world_.timeline.after(join_every_us, [this] { ask_to_join(); });
}

void Operators::act() {
  const Fault fault = enabled_[random_.below(enabled_.size())];
  const raft::Members& members = world_.ghost.members();
  switch (fault) {
    case Fault::join:
      join();
      return;
    case Fault::remove: {
      const auto& list = random_.below(4) == 0 ? members.learners : members.voters;
      if (list.size() > (&list == &members.voters ? 1 : 0)) {
        remove(list[random_.below(list.size())].id);
      }
      return;
    }
    case Fault::remove_leader: {
      const Host* leader = world_.leader();
      if (leader != nullptr && members.voters.size() > 1) remove(leader->id());
      return;
    }
    case Fault::transfer:
      transfer();
      return;
    case Fault::address:
      move();
      return;
    case Fault::stray_folder:
      start_stray();
      return;
    default:
      start_removed();
  }
}

void Operators::join() {
  for (const auto& host : world_.hosts) {
    const bool fresh = host->state() == Host::State::off && host->life() == 0;
    if (!fresh && host->state() != Host::State::removed) continue;
    if (random_.below(2) == 0) continue;
    count(Fault::join);
    if (!fresh) host->wipe();
    host->start();
    return;
  }
}

void Operators::remove(raft::NodeId id) {
  Host* voice = pick_voice();
  if (voice == nullptr || !nemesis_.may_lose(id)) return;
  count(Fault::remove);
  nemesis_.expect_removal(id);
  AdminRequest request;
  request.kind = AdminRequest::Kind::remove;
  request.node = id;
  calls_.admin(*voice, request, change_ms, [id](bool, const std::string& text) {
    TRACE(-1, "removal of node " + to_text(id) + ": " + text);
  });
}

void Operators::transfer() {
  Host* voice = pick_voice();
  const std::vector<raft::Member>& voters = world_.ghost.members().voters;
  if (voice == nullptr || voters.empty()) return;
  count(Fault::transfer);
  AdminRequest request;
  request.kind = AdminRequest::Kind::transfer;
  if (random_.below(3) != 0) request.node = voters[random_.below(voters.size())].id;
  calls_.admin(*voice, request, change_ms,
               [](bool, const std::string& text) { TRACE(-1, "transfer: " + text); });
}

// The folder of each member holds the addresses of all others. Two members that both moved and know
// only each other's former address cannot find each other in a system without a directory.
bool Operators::everybody_can_be_found() const {
  const Ghost& ghost = world_.ghost;
  const raft::Index made = ghost.members_index_at(ghost.committed());
  const raft::Members& members = ghost.members();
  if (made.value == 0 || !members.outgoing.empty()) return false;
  for (const auto* list : {&members.voters, &members.learners}) {
    for (const raft::Member& member : *list) {
      const Host* host = world_.host_of(member.id);
      if (host == nullptr || host->address() != member.address) return false;
      const LogState& log = host->disk().log();
      if (log.floor.last.index < made && !log.holds(ghost.id_at(made))) return false;
    }
  }
  return true;
}

// The machine gets another address while its process is down.
void Operators::move() {
  Host& host = *world_.hosts[random_.below(world_.hosts.size())];
  if (!host.runs() || !host.node().admitted() || !everybody_can_be_found()) return;
  count(Fault::address);
  nemesis_.crash(host);
  host.move_to("h" + std::to_string(host.number()) + ":" + std::to_string(random_.below(1000) + 2));
}

// A folder that was thought lost is found, and started on the host of the node that replaced it.
void Operators::start_stray() {
  std::vector<std::pair<Host*, raft::NodeId>> candidates;
  for (const auto& [id, disk] : world_.lost_disks()) {
    for (const auto& host : world_.hosts) {
      if (may_bring_back(*host, {id})) candidates.emplace_back(host.get(), raft::NodeId{id});
    }
  }
  if (candidates.empty()) return;
  const auto& [host, id] = candidates[random_.below(candidates.size())];
  count(Fault::stray_folder);
  if (host->runs()) nemesis_.crash(*host);
  host->bring_back(id);
  host->start();
}

// True: the cluster can do without the host's present folder, and no longer counts on the lost one.
// The lost folder's node is not expected at this host while the newcomer there is a learner.
bool Operators::may_bring_back(const Host& host, raft::NodeId id) const {
  if (!host.was_here(id) || host.life() == 0 || !nemesis_.may_lose(host.id())) return false;
  const std::vector<raft::Members> in_force = world_.members_in_force();
  return std::none_of(in_force.begin(), in_force.end(),
                      [id](const raft::Members& members) { return raft::is_member(members, id); });
}

void Operators::start_removed() {
  for (const auto& host : world_.hosts) {
    if (host->state() != Host::State::removed) continue;
    count(Fault::old_folder);
    host->start();
    return;
  }
}

}  // namespace iris::sim
