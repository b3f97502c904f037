#include "src/node_peers.h"

#include <algorithm>
#include <utility>

#include "raft/members.h"
#include "src/log.h"

namespace iris {
namespace {

// Nodes that are no members and are remembered by what they said of themselves.
constexpr std::size_t greeted_max = 64;

}  // namespace

// --- Belonging.

void PeerBook::start() {
  // A crash between the first entry and the cluster's id: nobody else knows of that cluster yet.
  if (host_.cluster.value == 0 && !host_.core->members().voters.empty()) {
    bootstrapping_ = true;
    durable();
  }
  update();
}

bool PeerBook::initialized() const {
  return host_.cluster.value != 0 || adopting_.value != 0 || bootstrapping_;
}

void PeerBook::bootstrap() {
  CHECK(!initialized());
  bootstrapping_ = true;
  // The entry first, the cluster's id when it is on disk: an id without an entry would wait for
  // ever for a leader to come.
  host_.core->bootstrap({{{host_.self, host_.options.address}}, {}, {}});
  host_.touch();
}

void PeerBook::durable() {
  if (!bootstrapping_ || adopting_.value != 0) return;
  const std::uint64_t id = mix(host_.options.cluster_seed ^ mix(host_.self.value));
  adopt({id != 0 ? id : 1});
}

void PeerBook::adopt(raft::ClusterId cluster) {
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

Status PeerBook::greet(const PeerIdentity& peer) {
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
  greeted_[peer.node] = {peer.cluster, peer.address, host_.now + host_.patience_ticks()};
  update();
  return Unit{};
}

void PeerBook::invited(raft::NodeId peer) {
  const auto found = greeted_.find(peer);
  if (found == greeted_.end() || initialized()) return;
  adopt(found->second.cluster);
}

// --- Talking.

bool PeerBook::is_member(raft::NodeId id) const {
  return std::any_of(members_.begin(), members_.end(),
                     [&](const raft::Member& member) { return member.id == id; });
}

// One place, one node: a member that said earlier that it is there has gone.
void PeerBook::forget_others_at(const std::string& address, raft::NodeId node) {
  std::erase_if(greeted_, [&](const auto& each) {
    return each.first != node && each.second.address == address && is_member(each.first);
  });
}

// `member` is somewhere else now by the latest configuration. Where an entry that had moved it was
// overwritten nothing new was said, and its greeting may be all that tells where it is.
void PeerBook::forget_move(const raft::Member& member) {
  const bool undone = std::find(committed_.begin(), committed_.end(), member) != committed_.end();
  const auto greeted = greeted_.find(member.id);
  if (undone || greeted == greeted_.end()) return;
  if (greeted->second.address != member.address) greeted_.erase(greeted);
}

void PeerBook::update() {
  if (!host_.core) return;
  std::vector<raft::Member> members = raft::all_members(host_.core->members());
  std::swap(members_, members);
  for (const raft::Member& member : members_) {  // agreed on: what was said before is old
    const auto before = std::find_if(members.begin(), members.end(),
                                     [&](const auto& each) { return each.id == member.id; });
    if (before == members.end()) {
      forget_others_at(member.address, member.id);
    } else if (before->address != member.address) {
      forget_move(member);
    }
  }
  committed_ = raft::all_members(host_.core->mark_at(host_.core->commit_index()).members);
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

void PeerBook::collect(std::vector<raft::Member>& wanted) {
  const std::vector<raft::Member>& learners = host_.core->members().learners;
  for (const raft::Member& member : members_) {
    if (member.id == host_.self) continue;
    raft::Member peer = member;
    // A member that came back under another address says so before the members can agree on it.
    const auto greeted = greeted_.find(peer.id);
    const bool has_greeted = greeted != greeted_.end() &&
                             greeted->second.cluster == host_.cluster &&
                             !greeted->second.address.empty();
    if (has_greeted) peer.address = greeted->second.address;
    // A learner at a voter's address is about to take its place: the leader has seen it there,
    // unless the voter has said since that it is back.
    const bool displaced =
        !has_greeted &&
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

void PeerBook::tick() {
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
