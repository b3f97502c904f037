#include "src/listeners/leases.h"

#include <algorithm>
#include <list>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "raft/check.h"
#include "src/base/log.h"

namespace iris {
namespace {

using Kind = CommandView::Kind;

constexpr std::size_t load_page = 1'000;  // sessions read from the store at once
// A term outlasts so many reports, so that a few of them may be lost.
constexpr std::uint64_t reports_per_term = 4;

struct Term {
  std::string session;
  std::uint64_t renewed_tick = 0;
  std::uint64_t subscribed = 0;     // revision of its last Subscribe, as far as known
  std::uint64_t subscriptions = 0;  // how many it has, about: what is read may know of some that
                                    // are counted again when they are applied here
  bool expiring = false;            // which list it is in
};

LeasesOptions checked(LeasesOptions options) {
  CHECK(options.tick_ms > 0 && options.expire_max > 0 && options.report_max > 0);
  return options;
}

}  // namespace

struct Leases::State : std::enable_shared_from_this<State> {
  State(LeasesOptions given_options, store::Store& given_store, LeasesHooks given_hooks)
      : options(checked(given_options)), store(given_store), hooks(std::move(given_hooks)) {}

  [[nodiscard]] std::uint64_t ttl_ticks() const {
    return std::max<std::uint64_t>(options.session_ttl_ms / options.tick_ms, reports_per_term);
  }
  [[nodiscard]] std::uint64_t report_ticks() const { return ttl_ticks() / reports_per_term; }

  // To the leader: over the network, or to this very object.
  void report(bool leads, std::vector<std::string> sessions);

  // --- Of a leader.
  void lead(raft::Term term);
  void load(std::string after);
  void hear(const std::vector<std::string>& sessions);
  Term& renew(std::string_view session, std::uint64_t subscribed);
  void renew(std::list<Term>::iterator term);
  void expire();
  [[nodiscard]] ExpireSessions next_command();
  void forget(std::string_view session, std::uint64_t up_to);
  [[nodiscard]] std::list<Term>& list_of(const Term& term) {
    return term.expiring ? expiring : terms;
  }

  const LeasesOptions options;
  store::Store& store;
  const LeasesHooks hooks;
  std::uint64_t tick = 0;
  std::uint64_t applied = 0;

  raft::NodeId leader;
  std::uint64_t reported_tick = 0;
  std::vector<std::string> opened;  // since the last report

  raft::Term leading;  // 0: does not lead, and nothing below is used
  bool loaded = false;
  std::list<Term> terms;     // the longest not renewed is in front
  std::list<Term> expiring;  // named by a command that is not applied yet
  std::uint64_t proposed_tick = 0;
  // By name; the keys are views into the lists. Looked up, never walked.
  std::unordered_map<std::string_view, std::list<Term>::iterator> by_session;
};

void Leases::State::report(bool leads, std::vector<std::string> sessions) {
  if (leads) return hear(sessions);
  std::vector<std::string> piece;
  std::size_t bytes = 0;
  for (std::string& session : sessions) {
    const bool full =
        piece.size() == options.report_max || bytes + session.size() > options.names_bytes_max;
    if (full && !piece.empty()) {
      hooks.report(leader, std::exchange(piece, {}));
      bytes = 0;
    }
    bytes += session.size();
    piece.push_back(std::move(session));
  }
  if (!piece.empty()) hooks.report(leader, std::move(piece));
}

void Leases::State::lead(raft::Term term) {
  leading = term;
  loaded = false;
  by_session.clear();
  terms.clear();
  expiring.clear();
  if (term.value != 0) load({});
}

// Everybody who is in the store gets a full term from the moment it is read.
void Leases::State::load(std::string after) {
  struct Loaded {
    std::uint64_t applied = 0;
    std::vector<std::pair<std::string, SessionInfo>> sessions;
  };
  auto page = std::make_shared<Loaded>();
  store.read(
      [page, after = std::move(after)](const store::View& view) {
        page->applied = view.applied().value;
        list_sessions(view, {"", after, 0}, [&](std::string_view session, const SessionInfo& info) {
          page->sessions.emplace_back(session, info);
          return page->sessions.size() < load_page;
        });
      },
      [weak = weak_from_this(), page, term = leading] {
        const auto self = weak.lock();
        if (!self || self->leading != term) return;
        self->applied = std::max(self->applied, page->applied);
        for (const auto& [session, info] : page->sessions) {
          Term& known = self->renew(session, info.subscribed);
          known.subscriptions = std::max(known.subscriptions, info.subscriptions);
        }
        if (page->sessions.size() == load_page) return self->load(page->sessions.back().first);
        self->loaded = true;
      });
}

void Leases::State::hear(const std::vector<std::string>& sessions) {
  for (const auto& session : sessions) {
    // Who is not replicated has nothing that could expire.
    const auto found = by_session.find(session);
    if (found != by_session.end()) renew(found->second);
  }
}

Term& Leases::State::renew(std::string_view session, std::uint64_t subscribed) {
  const auto found = by_session.find(session);
  if (found == by_session.end()) {
    terms.push_back({std::string(session), tick, subscribed});
    by_session.emplace(terms.back().session, std::prev(terms.end()));
    return terms.back();
  }
  renew(found->second);
  found->second->subscribed = std::max(found->second->subscribed, subscribed);
  return *found->second;
}

void Leases::State::renew(std::list<Term>::iterator term) {
  term->renewed_tick = tick;
  terms.splice(terms.end(), list_of(*term), term);
  term->expiring = false;
}

// One command at a time: how fast sessions go is decided by how fast they are applied.
void Leases::State::expire() {
  if (!loaded) return;
  if (!expiring.empty()) {
    if (tick - proposed_tick < report_ticks()) return;
    for (Term& term : expiring) term.expiring = false;
    terms.splice(terms.begin(), expiring);  // the command was lost: once more
  }
  ExpireSessions command = next_command();
  if (command.sessions.empty()) return;
  proposed_tick = tick;
  log(LogLevel::info, "sessions that no node serves expire",
      {{"sessions", std::uint64_t{command.sessions.size()}}});
  hooks.propose(std::move(command));
}

// Those whose term is over; no more of them than an entry can carry and a node can remove without
// holding others up.
ExpireSessions Leases::State::next_command() {
  ExpireSessions command;
  command.up_to = applied;
  std::size_t bytes = 0;
  std::uint64_t subscriptions = 0;
  while (!terms.empty() && command.sessions.size() < options.expire_max) {
    Term& oldest = terms.front();
    if (tick - oldest.renewed_tick < ttl_ticks()) break;
    bytes += oldest.session.size();
    subscriptions += oldest.subscriptions;
    const bool fits =
        bytes <= options.names_bytes_max && subscriptions <= options.expire_subscriptions_max;
    if (!fits && !command.sessions.empty()) break;
    command.sessions.push_back(oldest.session);
    oldest.expiring = true;
    expiring.splice(expiring.end(), terms, terms.begin());
  }
  return command;
}

void Leases::State::forget(std::string_view session, std::uint64_t up_to) {
  const auto found = by_session.find(session);
  // As the machine did: who subscribed to something later was spared.
  if (found == by_session.end() || found->second->subscribed > up_to) return;
  const auto term = found->second;
  by_session.erase(found);
  list_of(*term).erase(term);
}

Leases::Leases(LeasesOptions options, store::Store& store, LeasesHooks hooks)
    : state_(std::make_shared<State>(options, store, std::move(hooks))) {}
Leases::~Leases() = default;

void Leases::tick(raft::NodeId leader, raft::Term term, bool leading) {
  State& state = *state_;
  ++state.tick;
  const raft::Term led = leading ? term : raft::Term{};
  if (state.leading != led) state.lead(led);
  const bool changed = std::exchange(state.leader, leader) != leader;
  if (leader.value == 0) {
    state.opened.clear();  // whoever comes next hears of all
  } else if (changed || state.tick - state.reported_tick >= state.report_ticks()) {
    state.reported_tick = state.tick;
    state.opened.clear();
    state.report(leading, state.hooks.served());
  } else if (!state.opened.empty()) {
    state.report(leading, std::exchange(state.opened, {}));
  }
  if (leading) state.expire();
}

void Leases::opened(const std::string& session) { state_->opened.push_back(session); }

void Leases::on_served(const std::vector<std::string>& sessions) {
  if (state_->leading.value != 0) state_->hear(sessions);
}

void Leases::on_applied(const raft::EntryPtr& entry, const Outcome& outcome) {
  State& state = *state_;
  state.applied = std::max(state.applied, entry->id.index.value);
  if (state.leading.value == 0 || outcome.code != Outcome::Code::done) return;
  const auto command = parse(std::get<raft::Command>(entry->payload));
  if (!command) return;
  if (command->kind == Kind::subscribe) {
    Term& term = state.renew(command->session, state.applied);
    if (outcome.changed) ++term.subscriptions;
    return;
  }
  if (command->kind != Kind::expire_sessions) return;
  for (const std::string_view session : command->sessions) {
    state.forget(session, command->up_to);
  }
}

std::size_t Leases::size() const { return state_->by_session.size(); }

}  // namespace iris
