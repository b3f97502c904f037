#include "src/node/contacts.h"

#include <algorithm>
#include <utility>

#include "raft/members.h"
#include "src/base/log.h"

namespace iris {
namespace {

// Nodes that are no members and are remembered by what they said of themselves.
constexpr std::size_t greeted_max = 64;
// A peer that said nothing for so many election timeouts may be somewhere else by now.
constexpr std::uint64_t silent_elections = 2;

}  // namespace

// --- Belonging.

void Contacts::start() {
  recall();
  // A crash between the first entry and the cluster's id: nobody else knows of that cluster yet.
  if (host_.cluster.value == 0 && !host_.core->members().voters.empty()) {
    bootstrapping_ = true;
    durable();
  }
  update();
}

// Also of a configuration that is not applied here: a leader changes none but a committed one
// (thesis 4.1), so whichever has a successor in the log is committed.
void Contacts::recall() {
  const raft::Recovered& recovered = host_.store.recovered().raft;
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
  // A voter founded the cluster, or was a learner that was committed.
  if (was_member_ || host_.core->was_member() || raft::is_voter(members, host_.self)) return true;
  // A log that was trimmed and does without it may have forgotten that it was removed.
  return !has_whole_log_ && !raft::is_learner(members, host_.self);
}

// Nothing that is committed knows this node, so there is nothing to be removed from: it stays, and
// whoever was told whom to join asks again.
void Contacts::disowned(raft::NodeId by) {
  const raft::Index index = host_.core->members_index();
  if (std::exchange(disowned_, index) == index) return;
  log(LogLevel::warn, "a member does not know this node: the entry that admitted it may be lost",
      {{"member", hex_id(by.value)}});
}

bool Contacts::initialized() const {
  return host_.cluster.value != 0 || adopting_.value != 0 || bootstrapping_;
}

void Contacts::bootstrap() {
  CHECK(!initialized());
  bootstrapping_ = true;
  // The entry first, the cluster's id when it is on disk: an id without an entry would wait for
  // ever for a leader to come.
  host_.core->bootstrap({{{host_.self, host_.options.address}}, {}, {}});
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
    if (first) host_.core->campaign();  // nobody to wait for
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
  if (peer.cluster.value == 0) return Unit{};  // it has nothing to say yet
  if (!greeted_.contains(peer.node) && greeted_.size() >= greeted_max) {
    const auto oldest =
        std::min_element(greeted_.begin(), greeted_.end(), [this](const auto& a, const auto& b) {
          return std::pair{is_member(a.first), a.second.until} <
                 std::pair{is_member(b.first), b.second.until};
        });
    greeted_.erase(oldest);
  }
  forget_others_at(peer.address, peer.node);
  greeted_[peer.node] = {peer.cluster, peer.address, host_.now + host_.patience_ticks(), host_.now,
                         host_.now};
  update();
  return Unit{};
}

void Contacts::invited(raft::NodeId peer) {
  const auto found = greeted_.find(peer);
  if (found == greeted_.end() || initialized()) return;
  adopt(found->second.cluster);
}

// --- Talking.

bool Contacts::is_member(raft::NodeId id) const { return raft::contains(members_, id); }

// One place, one node: a member that said earlier that it is there has gone.
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
    former_[member.id] = {host_.cluster, member.address, host_.now + host_.patience_ticks()};
  }
  std::vector<raft::Member> wanted;
  collect(wanted);
  if (wanted == told_) return;
  told_ = std::move(wanted);
  host_.transport.set_peers(told_);
}

const Contacts::Acquaintance* Contacts::said(raft::NodeId id) const {
  const auto found = greeted_.find(id);
  const bool serves = found != greeted_.end() && found->second.cluster == host_.cluster &&
                      !found->second.address.empty();
  return serves ? &found->second : nullptr;
}

// A member that came back under another address says so before the members can agree on it, and to
// who lags also after they agreed on a former one. Where it is silent either may be old: the one it
// said last, or the one in the configuration. So each gets its turn.
bool Contacts::is_believed(const Acquaintance& who) const {
  const std::uint64_t silence = host_.now - who.heard;
  return silence < silent_elections * host_.election_ticks() ||
         host_.now / host_.election_ticks() % 2 == 0;
}

void Contacts::heard(raft::NodeId peer) {
  const auto found = greeted_.find(peer);
  if (found != greeted_.end()) found->second.heard = host_.now;
}

std::optional<raft::Member> Contacts::moved() const {
  for (const raft::Member& member : members_) {
    const Acquaintance* greeted = said(member.id);
    if (greeted == nullptr || greeted->address == member.address) continue;
    const std::uint64_t known_for = host_.now - greeted->since;
    const std::uint64_t silence = host_.now - greeted->heard;
    if (known_for >= 2 * silent_elections * host_.election_ticks() &&
        silence < silent_elections * host_.election_ticks()) {
      return raft::Member{member.id, greeted->address};
    }
  }
  return std::nullopt;
}

void Contacts::collect(std::vector<raft::Member>& wanted) {
  const std::vector<raft::Member>& learners = host_.core->members().learners;
  for (const raft::Member& member : members_) {
    if (member.id == host_.self) continue;
    raft::Member peer = member;
    const Acquaintance* greeted = said(peer.id);
    if (greeted != nullptr && is_believed(*greeted)) peer.address = greeted->address;
    // A learner at a voter's address is about to take its place: the leader has seen it there,
    // unless the voter has said since that it is back.
    const bool displaced =
        greeted == nullptr &&
        std::any_of(learners.begin(), learners.end(), [&](const raft::Member& learner) {
          return learner.id != peer.id && learner.address == peer.address;
        });
    if (!displaced) wanted.push_back(std::move(peer));
  }
  // Who said itself that it is there needs an answer, also at an address where a member that is
  // dead is thought to be (of an emptied folder that was admitted and removed again).
  for (const auto* list : {&greeted_, &former_}) {
    for (const auto& [id, who] : *list) {
      if (id == host_.self || is_member(id)) continue;
      if (who.cluster != host_.cluster || who.address.empty()) continue;
      const bool taken =
          std::any_of(wanted.begin(), wanted.end(), [&, node = id, &other = who](const auto& each) {
            return each.id == node || (list == &former_ && each.address == other.address);
          });
      if (!taken) wanted.push_back({id, who.address});
    }
  }
  std::sort(wanted.begin(), wanted.end(),
            [](const raft::Member& a, const raft::Member& b) { return a.id < b.id; });
}

void Contacts::tick() {
  if (host_.now % host_.election_ticks() != 0) return;
  std::erase_if(former_, [&](const auto& each) {
    return each.second.until <= host_.now || is_member(each.first);
  });
  // Remembered are members, and who leads: a newcomer that is being sent a snapshot knows of no
  // members for as long as that takes.
  std::erase_if(greeted_, [&](const auto& each) {
    return each.second.until <= host_.now && !is_member(each.first) &&
           each.first != host_.core->leader();
  });
  update();
}

}  // namespace iris
