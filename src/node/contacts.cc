#include "src/node/contacts.h"

#include <algorithm>
#include <utility>

#include "raft/members.h"
#include "src/base/log.h"

namespace iris {
namespace {

// Nodes whose introduction is remembered; a further one displaces the oldest, strangers first.
constexpr std::size_t greeted_max = 64;
// A peer that was silent for so many election timeouts may be somewhere else by now.
constexpr std::uint64_t silent_elections = 2;

}  // namespace

// --- Belonging.

void Contacts::start() {
  // A crash came between the first entry and the cluster's id. No other node knows that cluster.
  if (host_.cluster.value == 0 && !host_.core->members().voters.empty()) {
    bootstrapping_ = true;
    durable();
  }
  update();
}

// A configuration that is not applied here may prove membership as well: a leader changes none but
// a committed one (thesis 4.1), so each configuration with a successor in the log is committed.
void Contacts::learn(const raft::Recovered& recovered) {
  has_whole_log_ = recovered.floor.last.index == raft::Index{};
  const raft::Members* before = nullptr;
  for (const raft::EntryPtr& entry : recovered.entries) {
    const raft::Members* members = raft::members_in(*entry);
    if (members == nullptr) continue;
    if (before != nullptr && raft::is_member(*before, host_.self)) was_member_ = true;
    before = members;
  }
}

bool Contacts::admitted() const {
  if (!host_.core) return false;
  const raft::Members& members = host_.core->members();
  // A voter has founded the cluster, or was a learner in a committed configuration.
  if (was_member_ || host_.core->was_member() || raft::is_voter(members, host_.self)) return true;
  // A trimmed log without this node may have forgotten its removal.
  return !has_whole_log_ && !raft::is_learner(members, host_.self);
}

// No committed configuration contained this node, so it cannot have been removed: it stays, and the
// part of the server that asked to join asks again.
void Contacts::not_known_to(raft::NodeId member) {
  const raft::Index index = host_.core->members_index();
  if (std::exchange(not_known_in_, index) == index) return;
  log(LogLevel::warn, "a member does not know this node: the entry that admitted it may be lost",
      {{"member", hex_id(member.value)}});
}

bool Contacts::initialized() const {
  return host_.cluster.value != 0 || adopting_.value != 0 || bootstrapping_;
}

void Contacts::bootstrap() {
  CHECK(!initialized());
  bootstrapping_ = true;
  // The cluster's id follows once the entry is on disk: a node with an id and no entry would wait
  // for a leader for ever.
  host_.core->bootstrap({{{host_.self, host_.options.address}}, {}, {}, host_.options.level});
  host_.touch();
}

void Contacts::durable() {
  if (!bootstrapping_ || adopting_.value != 0) return;
  const std::uint64_t id = mix(host_.options.cluster_seed ^ mix(host_.self.value));
  adopt({id != 0 ? id : 1});
}

void Contacts::adopt(raft::ClusterId cluster) {
  adopting_ = cluster;
  host_.store.adopt(cluster, [this, gone = host_.guard()] {
    if (gone.expired()) return;
    host_.cluster = adopting_;
    const bool first = std::exchange(bootstrapping_, false);
    adopting_ = {};
    log(LogLevel::info, "this node belongs to a cluster now",
        {{"cluster", hex_id(host_.cluster.value)}, {"node", hex_id(host_.self.value)}});
    if (first) host_.core->campaign();  // no other voter could win
    update();
    host_.touch();
  });
}

Status Contacts::greet(const PeerIdentity& peer) {
  if (peer.node == host_.self) {
    return fail(Errc::refused, "node " + hex_id(peer.node.value) + " at " + peer.address +
                                   " is this very node, or a copy of its folder");
  }
  const raft::ClusterId own = host_.cluster.value != 0 ? host_.cluster : adopting_;
  if (own.value != 0 && peer.cluster.value != 0 && peer.cluster != own) {
    return fail(Errc::refused, "node " + hex_id(peer.node.value) + " at " + peer.address +
                                   " is of cluster " + hex_id(peer.cluster.value) + ", node " +
                                   hex_id(host_.self.value) + " at " + host_.options.address +
                                   " is of cluster " + hex_id(own.value));
  }
  if (Status fit = check_levels(host_.identity(), peer); !fit) return fit;
  if (peer.cluster.value == 0) return Unit{};  // it takes no part yet
  if (!greeted_.contains(peer.node)) make_room_for_greeting();
  forget_others_at(peer.address, peer.node);
  greeted_[peer.node] = {peer.cluster, peer.address, host_.now + host_.give_up_ticks(), host_.now,
                         host_.now};
  update();
  return Unit{};
}

void Contacts::make_room_for_greeting() {
  if (greeted_.size() < greeted_max) return;
  const auto oldest =
      std::min_element(greeted_.begin(), greeted_.end(), [this](const auto& a, const auto& b) {
        return std::pair{is_member(a.first), a.second.until} <
               std::pair{is_member(b.first), b.second.until};
      });
  greeted_.erase(oldest);
}

void Contacts::invited(raft::NodeId peer) {
  const auto found = greeted_.find(peer);
  if (found == greeted_.end() || initialized()) return;
  adopt(found->second.cluster);
}

// --- The list of peers.

bool Contacts::is_member(raft::NodeId id) const { return raft::contains(members_, id); }

// Only one node can be at an address: a member that introduced itself from there earlier has gone.
void Contacts::forget_others_at(const std::string& address, raft::NodeId node) {
  std::erase_if(greeted_, [&](const auto& each) {
    return each.first != node && each.second.address == address && is_member(each.first);
  });
}

void Contacts::update() {
  if (!host_.core) return;
  std::vector<raft::Member> members = raft::all_members(host_.core->members());
  std::swap(members_, members);
  for (const raft::Member& member : members_) {
    if (!raft::contains(members, member.id)) forget_others_at(member.address, member.id);
  }
  for (const raft::Member& member : members) {
    if (is_member(member.id)) continue;
    former_[member.id] = {host_.cluster, member.address, host_.now + host_.give_up_ticks()};
  }
  std::vector<raft::Member> peers = reachable_members();
  add_strangers(peers);
  std::sort(peers.begin(), peers.end(),
            [](const raft::Member& a, const raft::Member& b) { return a.id < b.id; });
  if (peers == told_) return;
  told_ = std::move(peers);
  host_.transport.set_peers(told_);
}

// nullptr: it has not introduced itself as a node of this cluster with an address.
const Contacts::Contact* Contacts::greeting_of(raft::NodeId id) const {
  const auto found = greeted_.find(id);
  const bool serves = found != greeted_.end() && found->second.cluster == host_.cluster &&
                      !found->second.address.empty();
  return serves ? &found->second : nullptr;
}

bool Contacts::is_silent(const Contact& contact) const {
  return host_.now - contact.heard >= silent_elections * host_.election_ticks();
}

// The member is dialled at the address that it gave, not at that of the configuration.
// A member that came back under another address says so before the members can agree on it; a node
// that lags hears it even after they agreed on a former address. While the member is silent, either
// address may be the old one: the one it gave last, or the one in the configuration. So each is
// dialled for an election timeout in turn.
bool Contacts::is_trusted(const Contact& contact) const {
  return !is_silent(contact) || host_.now / host_.election_ticks() % 2 == 0;
}

std::optional<raft::Level> Contacts::level() const {
  raft::Level lowest = host_.options.level;
  for (const raft::Member& member : raft::all_members(host_.core->members())) {
    if (member.id == host_.self) continue;
    const std::optional<raft::Level> said = host_.transport.level_of(member.id);
    if (!said) return std::nullopt;
    lowest = std::min(lowest, *said);
  }
  return lowest;
}

void Contacts::heard(raft::NodeId peer) {
  const auto found = greeted_.find(peer);
  if (found != greeted_.end()) found->second.heard = host_.now;
}

std::optional<raft::Member> Contacts::moved() const {
  for (const raft::Member& member : members_) {
    const Contact* greeting = greeting_of(member.id);
    if (greeting == nullptr || greeting->address == member.address) continue;
    const std::uint64_t known_for = host_.now - greeting->since;
    if (known_for >= 2 * silent_elections * host_.election_ticks() && !is_silent(*greeting)) {
      return raft::Member{member.id, greeting->address};
    }
  }
  return std::nullopt;
}

// The other members, each at the address where it is most likely to be.
std::vector<raft::Member> Contacts::reachable_members() const {
  std::vector<raft::Member> peers;
  const std::vector<raft::Member>& learners = host_.core->members().learners;
  for (const raft::Member& member : members_) {
    if (member.id == host_.self) continue;
    raft::Member peer = member;
    const Contact* greeting = greeting_of(peer.id);
    if (greeting != nullptr && is_trusted(*greeting)) peer.address = greeting->address;
    // A learner at a voter's address is about to replace that voter: the leader has found it there.
    // Only a voter that has introduced itself since is back.
    const bool replaced =
        greeting == nullptr &&
        std::any_of(learners.begin(), learners.end(), [&](const raft::Member& learner) {
          return learner.id != peer.id && learner.address == peer.address;
        });
    if (!replaced) peers.push_back(std::move(peer));
  }
  return peers;
}

// A node that introduced itself needs an answer, even at the address of a member that is dead: the
// member's folder may have been emptied, and the new identity admitted and removed again. A former
// member gets one only where no other peer has its address.
void Contacts::add_strangers(std::vector<raft::Member>& peers) const {
  for (const auto* contacts : {&greeted_, &former_}) {
    for (const auto& entry : *contacts) {
      const raft::NodeId id = entry.first;
      const Contact& contact = entry.second;
      if (id == host_.self || is_member(id)) continue;
      if (contact.cluster != host_.cluster || contact.address.empty()) continue;
      const bool taken = std::any_of(peers.begin(), peers.end(), [&](const raft::Member& peer) {
        return peer.id == id || (contacts == &former_ && peer.address == contact.address);
      });
      if (!taken) peers.push_back({id, contact.address});
    }
  }
}

void Contacts::tick() {
  if (host_.now % host_.election_ticks() != 0) return;
  std::erase_if(former_, [&](const auto& each) {
    return each.second.until <= host_.now || is_member(each.first);
  });
  // Members are remembered, and the leader: a newcomer that is being sent a snapshot knows no
  // members for as long as that takes.
  std::erase_if(greeted_, [&](const auto& each) {
    return each.second.until <= host_.now && !is_member(each.first) &&
           each.first != host_.core->leader();
  });
  update();
}

}  // namespace iris
