#include "src/listeners/lease_table.h"

#include <algorithm>

#include "raft/check.h"
#include "src/listeners/lease_times.h"
#include "src/listeners/piece_limits.h"

namespace iris::listening {
namespace {

constexpr std::size_t looks_of_fill = 5'000;

}  // namespace

LeaseTable::Item& LeaseTable::item_of(std::string_view session) {
  const auto found = sessions_.find(session);
  return found != sessions_.end() ? *found : *sessions_.emplace(session, Lease()).first;
}

void LeaseTable::take_out(Item& item) {
  Lease& lease = item.second;
  by_number_.erase(lease.number);
  silent_.erase({lease.alive, lease.number});
  if (lease.replicated) --replicated_;
  if (lease.expiring) --expiring_;
}

// Its change is the last one now.
void LeaseTable::put_back(Item& item) {
  Lease& lease = item.second;
  if (!lease.replicated && lease.served_by.empty()) return drop(item);
  lease.number = ++latest_;
  by_number_.emplace_hint(by_number_.end(), latest_, &item);
  lease.expiring = lease.expiring && lease.is_silent();
  if (lease.is_silent() && !lease.expiring) silent_.emplace(std::pair(lease.alive, latest_), &item);
  if (lease.replicated) ++replicated_;
  if (lease.expiring) ++expiring_;
}

// REQUIRES: it was taken out.
void LeaseTable::drop(Item& item) { sessions_.erase(sessions_.find(item.first)); }

void LeaseTable::renew(Item& item, std::uint64_t now) {
  item.second.alive = std::max(item.second.alive, now);
  item.second.expiring = false;
}

// --- What is replicated.

void LeaseTable::load(std::string_view session, const SessionInfo& info, std::uint64_t alive) {
  Item& item = item_of(session);
  take_out(item);
  Lease& lease = item.second;
  lease.replicated = true;
  lease.alive = std::max(lease.alive, alive);
  lease.subscribed = std::max(lease.subscribed, info.subscribed);
  lease.subscriptions = std::max(lease.subscriptions, info.subscriptions);
  lease.subscription_bytes = std::max(lease.subscription_bytes, info.bytes.value_or(0));
  put_back(item);
}

void LeaseTable::subscribed(std::string_view session, std::uint64_t revision,
                            std::optional<std::uint64_t> bytes, std::uint64_t now) {
  Item& item = item_of(session);
  Lease& lease = item.second;
  take_out(item);
  lease.replicated = true;
  lease.subscribed = std::max(lease.subscribed, revision);
  if (bytes) {
    ++lease.subscriptions;
    lease.subscription_bytes += *bytes;
  }
  renew(item, now);
  put_back(item);
}

void LeaseTable::expired(std::string_view session, std::uint64_t up_to) {
  const auto found = sessions_.find(session);
  // The machine spares a session that subscribed to something after `up_to`.
  if (found == sessions_.end() || found->second.subscribed > up_to) return;
  Item& item = *found;
  take_out(item);
  // Its streams go on, and may subscribe again.
  Lease left;
  left.alive = item.second.alive;
  left.served_by = std::move(item.second.served_by);
  item.second = std::move(left);
  put_back(item);
}

// --- What nodes report.

void LeaseTable::served(std::string_view session, ServingPass by) {
  Item& item = item_of(session);
  std::vector<ServingPass>& nodes = item.second.served_by;
  const auto known = std::find_if(nodes.begin(), nodes.end(),
                                  [&](const ServingPass& each) { return each.node == by.node; });
  if (known != nodes.end()) {
    known->pass = by.pass;
    return;
  }
  take_out(item);
  nodes.push_back(by);
  put_back(item);
}

void LeaseTable::ended(std::string_view session, raft::NodeId node, std::uint64_t since) {
  const auto found = sessions_.find(session);
  if (found == sessions_.end()) return;
  Item& item = *found;
  std::vector<ServingPass>& nodes = item.second.served_by;
  const auto here = [node](const ServingPass& each) { return each.node == node; };
  const bool was_here = std::any_of(nodes.begin(), nodes.end(), here);
  if (!was_here && since <= item.second.alive) return;
  take_out(item);
  std::erase_if(nodes, here);
  if (since > item.second.alive) renew(item, since);
  put_back(item);
}

void LeaseTable::renewed(std::string_view session, std::uint64_t now) {
  const auto found = sessions_.find(session);
  if (found == sessions_.end()) return;
  take_out(*found);
  renew(*found, now);
  put_back(*found);
}

std::uint64_t LeaseTable::sweep(
    std::uint64_t swept, std::size_t looks_max,
    const std::function<std::optional<std::uint64_t>(const ServingPass&)>& is_over) {
  auto next = by_number_.upper_bound(swept);
  for (std::size_t looks = 0; looks < looks_max && next != by_number_.end(); ++looks) {
    swept = next->first;
    Item& item = *next->second;
    ++next;  // what follows may move it to the end
    std::optional<std::uint64_t> since;
    for (const ServingPass& each : item.second.served_by) {
      if (const auto over = is_over(each)) since = std::max(since.value_or(0), *over);
    }
    if (!since) continue;
    take_out(item);
    std::erase_if(item.second.served_by,
                  [&](const ServingPass& each) { return is_over(each).has_value(); });
    renew(item, *since);
    put_back(item);
    next = by_number_.upper_bound(swept);
  }
  return next == by_number_.end() ? latest_ : swept;
}

// --- Expiry.

std::vector<std::string> LeaseTable::expire(std::uint64_t tick, const ExpireLimits& limits) {
  CHECK(!is_expiring());
  std::vector<std::string> named;
  std::size_t bytes = 0;
  std::uint64_t subscriptions = 0;
  std::uint64_t subscription_bytes = 0;
  while (!silent_.empty() && named.size() < limits.sessions_max) {
    const auto first = silent_.begin();
    auto& [session, lease] = *first->second;
    if (lease.alive > tick) break;
    bytes += session.size();
    subscriptions += lease.subscriptions;
    subscription_bytes += lease.subscription_bytes;
    const bool fits = bytes <= limits.names_bytes_max &&
                      subscriptions <= limits.subscriptions_max &&
                      subscription_bytes <= limits.subscription_bytes_max;
    if (!fits && !named.empty()) break;
    named.push_back(session);
    lease.expiring = true;
    ++expiring_;
    silent_.erase(first);
  }
  named_ = named;
  return named;
}

void LeaseTable::expire_again() {
  for (const std::string& session : std::exchange(named_, {})) {
    const auto found = sessions_.find(session);
    if (found == sessions_.end() || !found->second.expiring) continue;
    found->second.expiring = false;
    --expiring_;
    silent_.emplace(std::pair(found->second.alive, found->second.number), &*found);
  }
}

// --- Changes.

void LeaseTable::fill(LeaseChanges& changes, std::uint64_t after, std::uint64_t never_silent,
                      const PieceLimits& limits, const LeaseTimes& times, std::uint64_t now) const {
  Piece piece(limits);
  changes.after = changes.up_to = after;
  auto next = by_number_.upper_bound(after);
  for (std::size_t looks = 0; looks < looks_of_fill && next != by_number_.end(); ++looks) {
    const auto& [session, lease] = *next->second;
    const bool told = lease.is_silent() || (lease.replicated && next->first > never_silent);
    if (told && !piece.add(session.size())) break;
    if (lease.is_silent()) {
      changes.silent.push_back({session, times.ms_since(lease.alive, now)});
    } else if (told) {
      changes.served.push_back(session);
    }
    changes.up_to = next->first;
    ++next;
  }
  changes.latest = next == by_number_.end();
  if (changes.latest) changes.up_to = std::max(after, latest_);
}

void LeaseTable::dissolve(
    std::size_t records_max,
    const std::function<void(std::string_view session, std::uint64_t since)>& silent) {
  while (!by_number_.empty() && records_max-- > 0) {
    Item& item = *by_number_.begin()->second;
    if (item.second.is_silent()) silent(item.first, item.second.alive);
    take_out(item);
    drop(item);
  }
}

}  // namespace iris::listening
