#include "src/listeners/leases.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "raft/check.h"
#include "src/base/log.h"

namespace iris {
namespace {

using Kind = CommandView::Kind;

constexpr std::size_t load_page = 1'000;  // sessions read from the store at once
// A lease outlasts so many reports, so that a few of them may be lost.
constexpr std::uint64_t reports_per_lease = 4;

LeasesOptions checked(LeasesOptions options) {
  CHECK(options.tick_ms > 0 && options.expire_max > 0 && options.report_max > 0);
  return options;
}

}  // namespace

Leases::Leases(LeasesOptions options, store::Store& store, LeasesHooks hooks)
    : options_(checked(options)), store_(store), hooks_(std::move(hooks)) {}

// --- On every node.

std::uint64_t Leases::ttl_ticks() const {
  return std::max<std::uint64_t>(options_.session_ttl_ms / options_.tick_ms, reports_per_lease);
}

std::uint64_t Leases::report_ticks() const { return ttl_ticks() / reports_per_lease; }

void Leases::tick(raft::NodeId leader, raft::Term term, bool leading) {
  ++tick_;
  const raft::Term led = leading ? term : raft::Term{};
  if (leading_ != led) lead(led);
  const bool changed = std::exchange(leader_, leader) != leader;
  if (leader.value == 0) {
    opened_.clear();  // the next leader is told of all
  } else if (changed || tick_ - reported_tick_ >= report_ticks()) {
    reported_tick_ = tick_;
    opened_.clear();
    report(hooks_.served());
  } else if (!opened_.empty()) {
    report(std::exchange(opened_, {}));
  }
  if (leading) expire();
}

// To the leader: over the network, or to this object itself.
void Leases::report(std::vector<std::string> sessions) {
  if (leading_.value != 0) return hear(sessions);
  std::vector<std::string> piece;
  std::size_t bytes = 0;
  for (std::string& session : sessions) {
    const bool full =
        piece.size() == options_.report_max || bytes + session.size() > options_.names_bytes_max;
    if (full && !piece.empty()) {
      hooks_.report(leader_, std::exchange(piece, {}));
      bytes = 0;
    }
    bytes += session.size();
    piece.push_back(std::move(session));
  }
  if (!piece.empty()) hooks_.report(leader_, std::move(piece));
}

void Leases::on_served(const std::vector<std::string>& sessions) {
  if (leading_.value != 0) hear(sessions);
}

void Leases::on_applied(const raft::EntryPtr& entry, const Outcome& outcome) {
  applied_ = std::max(applied_, entry->id.index.value);
  if (leading_.value == 0 || outcome.code != Outcome::Code::done) return;
  const auto command = parse(std::get<raft::Command>(entry->payload));
  if (!command) return;
  if (command->kind == Kind::subscribe) {
    Lease& lease = renew(command->session, applied_);
    if (outcome.changed) {
      ++lease.subscriptions;
      lease.subscription_bytes += command->session.size() + command->source.size() +
                                  command->key.value_or(std::string_view()).size();
    }
    return;
  }
  if (command->kind != Kind::expire_sessions) return;
  for (const std::string_view session : command->sessions) forget(session, command->up_to);
}

// --- On a leader.

void Leases::lead(raft::Term term) {
  leading_ = term;
  loaded_ = false;
  by_session_.clear();
  leases_.clear();
  expiring_.clear();
  if (term.value != 0) load({});
}

// A full lease for every session in the store, from the moment it is read.
void Leases::load(std::string after) {
  struct Loaded {
    std::uint64_t applied = 0;
    std::vector<std::pair<std::string, SessionInfo>> sessions;
  };
  auto page = std::make_shared<Loaded>();
  store_.read(
      [page, after = std::move(after)](const store::View& view) {
        page->applied = view.applied().value;
        list_sessions(view, {"", after, 0}, [&](std::string_view session, const SessionInfo& info) {
          page->sessions.emplace_back(session, info);
          return page->sessions.size() < load_page;
        });
      },
      alive_.guard([this, page, term = leading_] {
        if (leading_ != term) return;
        applied_ = std::max(applied_, page->applied);
        for (const auto& [session, info] : page->sessions) {
          Lease& lease = renew(session, info.subscribed);
          lease.subscriptions = std::max(lease.subscriptions, info.subscriptions);
          lease.subscription_bytes = std::max(lease.subscription_bytes, info.bytes.value_or(0));
        }
        if (page->sessions.size() == load_page) return load(page->sessions.back().first);
        loaded_ = true;
      }));
}

void Leases::hear(const std::vector<std::string>& sessions) {
  for (const auto& session : sessions) {
    // A session that is not replicated has nothing that could expire.
    const auto found = by_session_.find(session);
    if (found != by_session_.end()) renew(found->second);
  }
}

Leases::Lease& Leases::renew(std::string_view session, std::uint64_t subscribed) {
  const auto found = by_session_.find(session);
  if (found == by_session_.end()) {
    leases_.push_back({std::string(session), tick_, subscribed});
    by_session_.emplace(leases_.back().session, std::prev(leases_.end()));
    return leases_.back();
  }
  renew(found->second);
  found->second->subscribed = std::max(found->second->subscribed, subscribed);
  return *found->second;
}

void Leases::renew(LeaseList::iterator lease) {
  lease->renewed_tick = tick_;
  leases_.splice(leases_.end(), list_of(*lease), lease);
  lease->expiring = false;
}

// One command at a time: the rate of expiry follows the rate at which it is applied.
void Leases::expire() {
  if (!loaded_) return;
  if (!expiring_.empty()) {
    if (tick_ - proposed_tick_ < report_ticks()) return;
    for (Lease& lease : expiring_) lease.expiring = false;
    leases_.splice(leases_.begin(), expiring_);  // the command was lost: once more
  }
  ExpireSessions command = next_command();
  if (command.sessions.empty()) return;
  proposed_tick_ = tick_;
  log(LogLevel::info, "sessions that no node serves expire",
      {{"sessions", std::uint64_t{command.sessions.size()}}});
  hooks_.propose(std::move(command));
}

// Sessions whose lease is over; no more of them than an entry can carry, and a node can delete
// without a pause that others notice.
ExpireSessions Leases::next_command() {
  ExpireSessions command;
  command.up_to = applied_;
  std::size_t bytes = 0;
  std::uint64_t subscriptions = 0;
  std::uint64_t subscription_bytes = 0;
  while (!leases_.empty() && command.sessions.size() < options_.expire_max) {
    Lease& oldest = leases_.front();
    if (tick_ - oldest.renewed_tick < ttl_ticks()) break;
    bytes += oldest.session.size();
    subscriptions += oldest.subscriptions;
    subscription_bytes += oldest.subscription_bytes;
    const bool fits = bytes <= options_.names_bytes_max &&
                      subscriptions <= options_.expire_subscriptions_max &&
                      subscription_bytes <= options_.expire_subscription_bytes_max;
    if (!fits && !command.sessions.empty()) break;
    command.sessions.push_back(oldest.session);
    oldest.expiring = true;
    expiring_.splice(expiring_.end(), leases_, leases_.begin());
  }
  return command;
}

void Leases::forget(std::string_view session, std::uint64_t up_to) {
  const auto found = by_session_.find(session);
  // The machine spares a session that subscribed to something after `up_to`.
  if (found == by_session_.end() || found->second->subscribed > up_to) return;
  const auto lease = found->second;
  by_session_.erase(found);
  list_of(*lease).erase(lease);
}

}  // namespace iris
