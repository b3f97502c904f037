#include "src/listeners/leases.h"

#include <algorithm>
#include <utility>

#include "raft/check.h"
#include "src/listeners/lease_leader.h"

namespace iris {
namespace {

using listening::LeaseLeader;
using Kind = CommandView::Kind;

constexpr std::size_t dissolved_at_once = 2'000;
// A former build never answers: it is told everything so often within a lease.
constexpr std::uint64_t reports_per_lease = 4;

LeasesOptions checked(LeasesOptions options) {
  CHECK(options.tick_ms > 0 && options.expire_max > 0 && options.piece.sessions_max > 0);
  CHECK(options.life != 0);
  return options;
}

}  // namespace

Leases::Leases(LeasesOptions options, store::Store& store, LeasesHooks hooks)
    : options_(checked(options)),
      times_(options_.session_ttl_ms, options_.tick_ms),
      store_(store),
      hooks_(std::move(hooks)) {}
Leases::~Leases() = default;

std::size_t Leases::size() const { return leading_ ? leading_->size() : 0; }

void Leases::tick(raft::NodeId leader, raft::Term term, bool leading) {
  if (leading_ && (!leading || leading_->term() != term)) retire();
  if (leading && !leading_) lead(leader, term);
  if (!former_.empty()) dissolve();
  served_.forget_before(now_ - times_.ttl);
  const bool anew = leader != leader_ || term != term_;
  if (leader.value != 0) {
    leader_ = leader;
    term_ = term;
    report(anew);
  }
  if (leading_) leading_->tick(now_, applied_);
  ++now_;
}

void Leases::lead(raft::NodeId self, raft::Term term) {
  leading_ = std::make_unique<LeaseLeader>(options_, times_, store_, hooks_, replica_, term, self,
                                           now_, applied_);
}

// What this leader knew is what its successor would be told, if that is this node again.
void Leases::retire() {
  const std::uint64_t pass = replica_.begin_own();
  former_.push_back({leading_->retire(replica_), pass, now_});
  leading_ = nullptr;
}

void Leases::dissolve() {
  Former& oldest = former_.front();
  oldest.table->dissolve(dissolved_at_once, [&](std::string_view session, std::uint64_t since) {
    replica_.silent_since(session, since, oldest.pass);
  });
  if (!oldest.table->empty()) return;
  replica_.complete_own(oldest.pass, oldest.ended);
  former_.pop_front();
}

// --- To the leader.

void Leases::report(bool anew) {
  if (anew) {
    told_.begin_anew();
  } else {
    told_.repeat_after(told_.is_answered() ? 2 * times_.report : times_.ttl / reports_per_lease,
                       now_);
  }
  const bool more = told_.up_to() < served_.latest() && told_.may_tell();
  if (anew || more || std::exchange(due_, false) || now_ - reported_ >= times_.report) {
    send_report();
  }
}

// Over the network, or to this object itself.
void Leases::send_report() {
  SessionsServed report;
  ServedChanges& changes = report.changes.emplace();
  changes.term = term_;
  changes.life = options_.life;
  changes.after = changes.up_to = told_.up_to();
  if (told_.may_tell()) {
    served_.fill(report, changes, told_.up_to(), options_.piece, times_, now_);
  }
  changes.sent = now_;
  replica_.acknowledge(term_, changes);
  told_.tell(changes.up_to, now_);
  reported_ = now_;
  due_ = false;
  if (!leading_) return hooks_.send(leader_, std::move(report));
  leading_->receive(leader_, report);
  told_.answer(changes.up_to, false, now_);
}

void Leases::on_told(raft::NodeId from, const SessionsServed& message) {
  if (!message.leases) {
    if (leading_) leading_->receive(from, message);
    return;
  }
  const LeaseChanges& changes = *message.leases;
  if (leading_ || from != leader_ || changes.term != term_ || changes.life != options_.life) return;
  told_.answer(changes.known, changes.missed, now_);
  replica_.take(changes, times_, now_);
  due_ = due_ || changes.up_to > changes.after;
}

// --- The log.

void Leases::on_applied(const raft::EntryPtr& entry, const Outcome& outcome) {
  applied_ = std::max(applied_, entry->id.index.value);
  if (outcome.code != Outcome::Code::done) return;
  const auto command = parse(std::get<raft::Command>(entry->payload));
  if (!command) return;
  if (command->kind == Kind::subscribe) {
    replica_.subscribed(command->session, now_);
  } else if (command->kind == Kind::expire_sessions) {
    for (const std::string_view session : command->sessions) replica_.expired(session);
  }
  if (leading_) leading_->on_applied(*command, outcome, applied_);
}

}  // namespace iris
