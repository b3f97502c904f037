#include "tests/listeners/lease_world.h"

#include <algorithm>
#include <utility>

namespace iris::testing {
namespace {

// By then a message has come, and been sent again where it was lost, and answered.
constexpr std::uint64_t settle = 80;
// A former leader notices by then that it leads no more.
constexpr std::uint64_t deposed_after = 30;

}  // namespace

LeaseWorld::LeaseWorld(const LeaseWorldOptions& options)
    : options_(options),
      random_(options.seed),
      nodes_(options.nodes),
      links_(options.nodes * options.nodes) {
  for (std::size_t node = 0; node < options.nodes; ++node) {
    members_.voters.push_back({id(node), "h" + std::to_string(node) + ":1"});
  }
  for (std::size_t node = 0; node < options.nodes; ++node) restart(node);
}

LeaseWorld::~LeaseWorld() = default;

// --- Nodes.

void LeaseWorld::restart(std::size_t number) {
  Node& node = nodes_[number];
  LeasesOptions options;
  options.session_ttl_ms = options_.ttl_ms;
  options.life = ++node.life;
  options.piece.sessions_max = 3;
  options.expire_max = 3;
  LeasesHooks hooks;
  hooks.propose = [this, number](ExpireSessions command) {
    proposals_.push_back(
        {now_ + random_.between(1, 5), now_, number, nodes_[number].term, std::move(command)});
  };
  hooks.send = [this, number](raft::NodeId to, SessionsServed message) {
    send(number, to, std::move(message));
  };
  hooks.members = [this]() -> const raft::Members& { return members_; };
  node.leases = std::make_unique<Leases>(options, *cluster_.store, std::move(hooks));
  node.applied = cluster_.last();
  node.leader = std::nullopt;
  node.in_touch = 0;
}

void LeaseWorld::crash(std::size_t number) {
  nodes_[number].leases = nullptr;
  cluster_.store->settle();
  disconnect(number);
  std::erase_if(streams_, [&](const auto& each) { return each.second.node == number; });
  if (leader_ == number) lead(std::nullopt);
}

void LeaseWorld::disconnect(std::size_t number) {
  for (std::size_t other = 0; other < nodes_.size(); ++other) {
    for (Link* each : {&link(number, other), &link(other, number)}) {
      each->under_way.clear();
      each->open_since = now_;
    }
  }
}

void LeaseWorld::block(std::size_t from, std::size_t to, bool blocked) {
  Link& on = link(from, to);
  if (blocked) {  // the connection breaks, and what is on it is lost
    on.under_way.clear();
  } else if (on.blocked) {
    on.open_since = now_;
  }
  on.blocked = blocked;
}

void LeaseWorld::lead(std::optional<std::size_t> node) {
  leader_ = node;
  if (node) ++term_;
}

std::optional<std::size_t> LeaseWorld::successor() {
  std::vector<std::size_t> able;
  for (std::size_t node = 0; node < nodes_.size(); ++node) {
    if (runs(node) && leader_ != node && now_ - nodes_[node].in_touch < settle) {
      able.push_back(node);
    }
  }
  if (able.empty()) return std::nullopt;
  return able[random_.below(able.size())];
}

// Who leads is heard from the leader itself.
void LeaseWorld::look(std::size_t number) {
  Node& node = nodes_[number];
  const bool right = node.leader == leader_ && node.term == term_ && leader_.has_value();
  if (right) return;
  const bool hears = leader_ && (*leader_ == number || good_link(*leader_, number, 0));
  if (hears && random_.below(3) == 0) {
    node.leader = leader_;
    node.term = term_;
    node.view_since = now_;
  } else if (!hears && node.leader && random_.below(deposed_after) == 0) {
    node.leader = std::nullopt;
  }
}

// --- Clients.

bool LeaseWorld::exists(const std::string& session) const {
  return find_session(*cluster_.store->hold(), session).has_value();
}

void LeaseWorld::subscribe(const std::string& session) {
  cluster_.apply(Subscribe{session, "s", {}});
  evidence_[session] = now_;
}

void LeaseWorld::open(const std::string& session, std::size_t node) {
  CHECK(runs(node));
  if (is_open(session)) close(session);
  nodes_[node].leases->opened(session);
  streams_[session] = {node, now_};
}

void LeaseWorld::close(const std::string& session) {
  const auto stream = streams_.find(session);
  if (stream == streams_.end()) return;
  Node& node = nodes_[stream->second.node];
  node.leases->closed(session);
  ends_[session].push_back({stream->second.node, node.life, stream->second.since, now_});
  streams_.erase(stream);
}

// --- The network.

bool LeaseWorld::good_link(std::size_t a, std::size_t b, std::uint64_t for_ticks) const {
  const auto good = [&](const Link& each) {
    return !each.blocked && now_ - each.open_since >= for_ticks;
  };
  return runs(a) && runs(b) && good(link(a, b)) && good(link(b, a));
}

void LeaseWorld::send(std::size_t from, raft::NodeId to, SessionsServed message) {
  const std::size_t number = to.value - 1;
  CHECK(number < nodes_.size() && number != from);
  Link& on = link(from, number);
  if (on.blocked || !runs(number)) return;
  ++messages_;
  const bool former = options_.silent_build && number + 1 == nodes_.size();
  if (options_.silent_build && from + 1 == nodes_.size()) {
    if (message.leases) return;  // it knows no such thing
    message.changes = std::nullopt;
  }
  if (former && message.leases) complaints_.emplace_back("a former build is told of leases");
  std::uint64_t at = now_ + random_.below(options_.delay_max + 1);
  if (!on.under_way.empty()) at = std::max(at, on.under_way.back().at);
  on.under_way.push_back({at, std::move(message)});
}

void LeaseWorld::deliver() {
  for (std::size_t from = 0; from < nodes_.size(); ++from) {
    for (std::size_t to = 0; to < nodes_.size(); ++to) {
      Link& on = link(from, to);
      while (!on.under_way.empty() && on.under_way.front().at <= now_) {
        const Message message = std::move(on.under_way.front());
        on.under_way.pop_front();
        if (runs(to)) nodes_[to].leases->on_told(id(from), message.body);
      }
    }
  }
}

// --- Time.

void LeaseWorld::step() {
  ++now_;
  deliver();
  for (std::size_t number = 0; number < nodes_.size(); ++number) {
    Node& node = nodes_[number];
    if (!runs(number)) continue;
    look(number);
    if (random_.below(4) != 0) {  // else its data lane lags
      for (; node.applied < cluster_.last(); ++node.applied) {
        node.leases->on_applied(cluster_.log[node.applied], cluster_.outcomes[node.applied]);
      }
    }
    const bool leading = node.leader == number;
    node.leases->tick(node.leader ? id(*node.leader) : raft::NodeId{}, {node.term}, leading);
    cluster_.store->settle();
    if (in_good_touch(number)) node.in_touch = now_;
  }
  write_down();
  apply();
}

bool LeaseWorld::in_good_touch(std::size_t number) const {
  const Node& node = nodes_[number];
  return leader_ && node.leader == leader_ && node.term == term_ &&
         now_ - node.view_since >= settle && now_ - nodes_[*leader_].view_since >= settle &&
         nodes_[*leader_].leader == leader_ &&
         (*leader_ == number || good_link(number, *leader_, settle));
}

// A stream counts once every node that might lead next has been in touch since it began.
void LeaseWorld::write_down() {
  for (const auto& [session, stream] : streams_) {
    if (!in_good_touch(stream.node) || now_ - stream.since < settle) continue;
    bool known = true;
    for (std::size_t number = 0; number < nodes_.size(); ++number) {
      known = known && (!runs(number) || nodes_[number].in_touch >= stream.since + settle);
    }
    if (!known) continue;
    const bool former = options_.silent_build && stream.node + 1 == nodes_.size();
    const std::uint64_t told = former ? now_ - ttl() / 4 - settle : now_;
    evidence_[session] = std::max(evidence_[session], told);
  }
}

// --- Expiry.

void LeaseWorld::apply() {
  std::deque<Proposal> later;
  for (Proposal& proposal : std::exchange(proposals_, {})) {
    if (proposal.at > now_) {
      later.push_back(std::move(proposal));
      continue;
    }
    if (leader_ != proposal.by || term_ != proposal.term) continue;  // it leads no more
    std::vector<std::string> there;
    for (const std::string& session : proposal.command.sessions) {
      if (exists(session)) there.push_back(session);
    }
    cluster_.apply(proposal.command);
    for (const std::string& session : there) {
      if (!exists(session)) judge(proposal, session);
    }
  }
  proposals_ = std::move(later);
}

void LeaseWorld::judge(const Proposal& proposal, const std::string& session) {
  ++expired_;
  const auto early = [&](std::uint64_t alive, const std::string& why) {
    if (alive + ttl() <= proposal.decided) return;
    complaints_.push_back(session + " expires at " + std::to_string(proposal.decided) +
                          ", though " + why + " at " + std::to_string(alive));
  };
  early(evidence_[session], "it was reported");
  // A node that can say when its stream ended has the last word.
  for (const End& end : ends_[session]) {
    const bool former = options_.silent_build && end.node + 1 == nodes_.size();
    const bool can_say = !former && nodes_[end.node].life == end.life && in_good_touch(end.node) &&
                         end.since + settle <= proposal.decided;
    if (can_say) early(end.at, "its stream ended");
  }
}

std::uint64_t LeaseWorld::evidence(const std::string& session) const {
  const auto found = evidence_.find(session);
  return found == evidence_.end() ? 0 : found->second;
}

}  // namespace iris::testing
