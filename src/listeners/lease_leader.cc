#include "src/listeners/lease_leader.h"

#include <algorithm>
#include <utility>

#include "raft/members.h"
#include "src/base/log.h"
#include "src/listeners/lease_replica.h"

namespace iris::listening {
namespace {

using Kind = CommandView::Kind;

constexpr std::size_t load_page = 1'000;       // sessions read from the store at once
constexpr std::size_t looks_of_sweep = 5'000;  // of one tick

bool is_in_step(const LeaseReplica& replica, const LeaseTimes& times, std::uint64_t now) {
  const auto then = replica.in_step_at();
  return then && now - *then <= times.trust;
}

}  // namespace

LeaseLeader::LeaseLeader(const LeasesOptions& options, const LeaseTimes& times, store::Store& store,
                         const LeasesHooks& hooks, const LeaseReplica& replica, raft::Term term,
                         raft::NodeId self, std::uint64_t now, std::uint64_t applied)
    : options_(options),
      times_(times),
      store_(store),
      hooks_(hooks),
      replica_(replica),
      term_(term),
      self_(self),
      begun_(now),
      in_step_(is_in_step(replica, times, now)),
      now_(now),
      applied_(applied) {
  for (const raft::Member& member : raft::all_members(hooks_.members())) {
    Peer& peer = peers_[member.id];
    const auto silent = replica.silent_since(member.id);
    peer.heard = in_step_ && silent ? *silent : now;
  }
  load({});
}

// A session that is not known to have been silent gets a whole lease.
void LeaseLeader::load(std::string after) {
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
      alive_.guard([this, page] {
        applied_ = std::max(applied_, page->applied);
        for (const auto& [session, info] : page->sessions) {
          const auto silent = in_step_ ? replica_.silent_since(session) : std::nullopt;
          table_->load(session, info, silent.value_or(now_));
        }
        if (page->sessions.size() == load_page) return load(page->sessions.back().first);
        loaded_ = true;
      }));
}

void LeaseLeader::tick(std::uint64_t now, std::uint64_t applied) {
  now_ = now;
  applied_ = std::max(applied_, applied);
  watch();
  if (sweeping_) sweep();
  for (auto& [node, peer] : peers_) {
    if (node != self_) tell(node, peer);
  }
  expire();
  ++now_;
}

void LeaseLeader::on_applied(const CommandView& command, const Outcome& outcome,
                             std::uint64_t index) {
  applied_ = std::max(applied_, index);
  if (command.kind == Kind::subscribe) {
    std::optional<std::uint64_t> bytes;
    if (outcome.changed) {
      bytes = command.session.size() + command.source.size() +
              command.key.value_or(std::string_view()).size();
    }
    table_->subscribed(command.session, applied_, bytes, now_);
  } else if (command.kind == Kind::expire_sessions) {
    for (const std::string_view session : command.sessions) {
      table_->expired(session, command.up_to);
    }
  }
}

std::unique_ptr<LeaseTable> LeaseLeader::retire(LeaseReplica& into) {
  for (const auto& [node, peer] : peers_) {
    if (node != self_ && now_ - peer.heard > times_.report) into.silent_since(node, peer.heard);
  }
  return std::move(table_);
}

// --- What nodes serve.

void LeaseLeader::receive(raft::NodeId from, const SessionsServed& report) {
  if (!raft::is_member(hooks_.members(), from)) return;
  Peer& peer = peers_[from];
  if (!report.changes) return hear_former(peer, report.sessions);
  if (report.changes->term == term_) hear(peer, from, report);
}

void LeaseLeader::hear(Peer& peer, raft::NodeId node, const SessionsServed& report) {
  const ServedChanges& changes = *report.changes;
  if (peer.life != changes.life || peer.former) {
    if (peer.life != 0) begin_pass(peer);
    peer.former = false;
    peer.life = changes.life;
    peer.told.begin_anew();
    peer.begun = false;
  }
  peer.heard = now_;
  peer.sent = std::max(peer.sent, changes.sent);
  peer.told.answer(changes.known, changes.missed, now_);
  peer.due = true;
  if (peer.known.take(changes.after, changes.up_to)) {
    for (const std::string& session : report.sessions) {
      table_->served(session, {node, peer.pass});
    }
    for (const SilentSession& ended : changes.ended) {
      table_->ended(ended.session, node, times_.tick_before(ended.silent_ms, now_));
    }
  }
  const bool all = changes.latest && !peer.known.missed();
  if (!all || std::exchange(peer.complete, true)) return;
  if (peer.pass > 1) sweeping_ = true;
  swept_ = 0;
}

// What a former build serves is known from one report to the next only.
void LeaseLeader::hear_former(Peer& peer, const std::vector<std::string>& sessions) {
  if (!std::exchange(peer.former, true)) end_pass(peer);
  peer.heard = now_;
  for (const std::string& session : sessions) table_->renewed(session, now_);
}

// All is reported again: what was reported so far counts until then.
void LeaseLeader::begin_pass(Peer& peer) const {
  ++peer.pass;
  peer.over = now_;
  peer.complete = false;
  peer.known.begin_anew();
}

// It serves nothing any more.
void LeaseLeader::end_pass(Peer& peer) {
  begin_pass(peer);
  peer.life = 0;
  sweeping_ = true;
  swept_ = 0;
}

void LeaseLeader::watch() {
  for (auto& [node, peer] : peers_) {
    if (peer.life != 0 && now_ - peer.heard >= times_.lost) end_pass(peer);
  }
}

void LeaseLeader::sweep() {
  const auto is_over = [this](const ServingPass& by) -> std::optional<std::uint64_t> {
    const Peer& peer = peers_[by.node];
    // The sessions of one that has begun anew may still come.
    if (by.pass == peer.pass || (peer.life != 0 && !peer.complete)) return std::nullopt;
    return peer.over;
  };
  swept_ = table_->sweep(swept_, looks_of_sweep, is_over);
  sweeping_ = swept_ != table_->latest();
}

// --- What nodes are told.

// Others need not hear of each session twice, once before the node that serves it has reported.
bool LeaseLeader::may_tell() {
  may_tell_ = may_tell_ || (loaded_ && (all_heard(0) || now_ - begun_ >= times_.report));
  return may_tell_;
}

void LeaseLeader::tell(raft::NodeId to, Peer& peer) {
  if (peer.life == 0) return;
  peer.told.repeat_after(2 * times_.report, now_);
  const bool more = may_tell() && peer.told.up_to() < table_->latest() && peer.told.may_tell();
  if (!std::exchange(peer.due, false) && !more) return;
  LeaseChanges changes;
  changes.term = term_;
  fill(changes, to, peer);
  changes.life = peer.life;
  changes.known = peer.known.up_to();
  changes.missed = peer.known.missed();
  changes.sent = peer.sent;
  hooks_.send(to, SessionsServed{{}, std::nullopt, std::move(changes)});
}

void LeaseLeader::fill(LeaseChanges& changes, raft::NodeId to, Peer& peer) {
  for (const auto& [node, other] : peers_) {
    if (node == self_ || node == to || now_ - other.heard <= times_.report) continue;
    changes.nodes.push_back({node, times_.ms_since(other.heard, now_)});
  }
  changes.after = changes.up_to = peer.told.up_to();
  if (!may_tell() || !peer.told.may_tell()) return;
  if (!std::exchange(peer.begun, true)) peer.never_silent = table_->latest();
  table_->fill(changes, peer.told.up_to(), peer.never_silent, options_.piece, times_, now_);
  peer.told.tell(changes.up_to, now_);
}

// --- Expiry.

// Every member has said what it serves, or was not heard for longer than `patience`.
bool LeaseLeader::all_heard(std::uint64_t patience) const {
  for (const raft::Member& member : raft::all_members(hooks_.members())) {
    const auto found = peers_.find(member.id);
    if (found == peers_.end()) continue;  // it became a member in this term
    const Peer& peer = found->second;
    const std::uint64_t since = peer.former ? begun_ : peer.heard;
    if (!peer.complete && (patience == 0 || now_ - since < patience)) return false;
  }
  return true;
}

bool LeaseLeader::may_expire() {
  may_expire_ = may_expire_ || (loaded_ && all_heard(times_.lost));
  return may_expire_;
}

// One command at a time: the rate of expiry follows the rate at which it is applied.
void LeaseLeader::expire() {
  if (!may_expire()) return;
  if (table_->is_expiring()) {
    if (now_ - proposed_ < times_.ttl / 4) return;
    table_->expire_again();
  }
  ExpireSessions command;
  command.up_to = applied_;
  command.sessions =
      table_->expire(now_ - times_.ttl,
                     {options_.expire_max, options_.names_bytes_max,
                      options_.expire_subscriptions_max, options_.expire_subscription_bytes_max});
  if (command.sessions.empty()) return;
  proposed_ = now_;
  log(LogLevel::info, "sessions that no node serves expire",
      {{"sessions", std::uint64_t{command.sessions.size()}}});
  hooks_.propose(std::move(command));
}

}  // namespace iris::listening
