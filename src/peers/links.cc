#include "src/peers/links.h"

#include <algorithm>
#include <set>
#include <utility>
#include <variant>

namespace iris {

Links::Links(LinkShared shared) : shared_(std::move(shared)) {
  shared_.retired = [this](const Link& link) { retire(link); };
  shared_.resolved = [this](const Link& link, const std::vector<asio::ip::address>& addresses) {
    const auto found = pairs_.find(link.peer().id);
    if (found != pairs_.end()) found->second.resolved = addresses;
  };
}

void Links::retire(const Link& link) {
  const auto found = pairs_.find(link.peer().id);
  if (found == pairs_.end()) return;
  Pair& pair = found->second;
  if (pair.bulk.get() == &link) pair.bulk = nullptr;
  if (pair.control.get() == &link && !pair.member) pair.control = nullptr;
  if (pair.control == nullptr && pair.bulk == nullptr) pairs_.erase(found);
}

void Links::close(Pair& pair) {
  for (auto* link : {&pair.control, &pair.bulk}) {
    if (*link != nullptr) (*link)->close();
    *link = nullptr;
  }
}

void Links::set_members(const std::vector<raft::Member>& members, raft::NodeId self) {
  std::set<raft::NodeId> wanted;
  for (const raft::Member& member : members) {
    if (member.id == self) continue;
    wanted.insert(member.id);
    Pair& pair = pairs_[member.id];
    if (pair.address != member.address) close(pair);
    pair.address = member.address;
    pair.member = true;
    if (pair.control == nullptr) {
      pair.control = std::make_shared<Link>(shared_, member, wire::Purpose::control);
    }
    pair.control->keep(true);
  }
  for (auto& [id, pair] : pairs_) {
    if (!pair.member || wanted.contains(id)) continue;
    pair.member = false;
    pair.control->keep(false);
  }
}

bool Links::is_member(raft::NodeId node) const {
  const auto found = pairs_.find(node);
  return found != pairs_.end() && found->second.member;
}

bool Links::connected(const Pair& pair) {
  return pair.control != nullptr && pair.control->connected();
}

bool Links::connected(raft::NodeId to) const {
  const auto found = pairs_.find(to);
  return found != pairs_.end() && connected(found->second);
}

std::optional<raft::Level> Links::level_of(raft::NodeId to) const {
  const auto found = pairs_.find(to);
  if (found == pairs_.end() || !connected(found->second)) return std::nullopt;
  return found->second.control->peer_level();
}

bool Links::reaches(raft::NodeId to) const { return is_member(to) || connected(to); }

bool Links::send(raft::NodeId to, const PeerBody& body, const std::string& address) {
  if (!reaches(to) && address.empty()) return false;
  Pair& pair = pairs_[to];
  if (pair.address.empty()) pair.address = address;
  const bool chunk = std::holds_alternative<SnapshotChunk>(body);
  auto& link = chunk ? pair.bulk : pair.control;
  if (link == nullptr) {
    link = std::make_shared<Link>(shared_, raft::Member{to, pair.address},
                                  chunk ? wire::Purpose::bulk : wire::Purpose::control);
  }
  link->send(body);
  return true;
}

bool Links::is_member_address(const asio::ip::address& address) const {
  return std::any_of(pairs_.begin(), pairs_.end(), [&](const auto& entry) {
    const Pair& pair = entry.second;
    return pair.member &&
           (pair.heard == address ||
            std::find(pair.resolved.begin(), pair.resolved.end(), address) != pair.resolved.end());
  });
}

void Links::on_peer_heard(raft::NodeId node, const asio::ip::address& address) {
  const auto found = pairs_.find(node);
  if (found == pairs_.end()) return;
  found->second.heard = address;
  for (const auto& link : {found->second.control, found->second.bulk}) {
    if (link != nullptr) link->on_peer_heard();
  }
}

std::size_t Links::queued_bytes(raft::NodeId to) const {
  const auto found = pairs_.find(to);
  if (found == pairs_.end()) return 0;
  std::size_t bytes = 0;
  for (const auto& link : {found->second.control, found->second.bulk}) {
    if (link != nullptr) bytes += link->queued_bytes();
  }
  return bytes;
}

void Links::close() {
  for (auto& [id, pair] : pairs_) close(pair);
  pairs_.clear();
}

}  // namespace iris
