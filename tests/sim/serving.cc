#include "tests/sim/serving.h"

#include <algorithm>
#include <string>
#include <utility>

#include "raft/members.h"
#include "tests/sim/report.h"
#include "tests/sim/world.h"

namespace iris::sim {

namespace {

constexpr std::uint64_t ms = 1000;  // in microseconds

LeasesOptions leases_options(const Host& host, const SimOptions& options) {
  LeasesOptions leases;
  leases.tick_ms = options.node.tick_ms;
  leases.session_ttl_ms = options.session_ttl_ms;
  leases.expire_max = options.expire_max;
  leases.piece.sessions_max = options.report_max;
  leases.life = mix(host.id().value + host.life()) | 1;
  return leases;
}

// A lease, also where clocks are skewed, and the way of some messages.
std::uint64_t patience_us(const SimOptions& options) {
  return 2 * options.session_ttl_ms * ms + 10 * options.call_ms * ms;
}

}  // namespace

Serving::Serving(Host& host)
    : host_(host),
      life_(host.life()),
      history_(std::make_unique<NodeHistory>(host.node())),
      listeners_(host.world().options.listeners, host.store(), *history_, listeners_hooks()),
      leases_(leases_options(host, host.world().options), host.store(), leases_hooks()) {}

Serving::~Serving() = default;

ListenersHooks Serving::listeners_hooks() {
  ListenersHooks hooks;
  hooks.schedule_pump = [this] {
    if (std::exchange(pump_scheduled_, true)) return;
    host_.world().timeline.after(1, [&host = host_, life = life_] {
      host.enter_life(life, [&host] { host.serving()->pump(); });
    });
  };
  hooks.barrier = [this](std::function<void(Status)> done) {
    host_.node().read(Consistency::linearizable, 0, host_.world().options.call_ms,
                      [&host = host_, done = std::move(done)](const Status& status) {
                        if (!host.doomed()) done(status);
                      });
  };
  hooks.opened = [this](const std::string& session) {
    opened_us_[session] = host_.world().now_us();
    leases_.opened(session);
  };
  hooks.closed = [this](const std::string& session) {
    opened_us_.erase(session);
    leases_.closed(session);
  };
  return hooks;
}

LeasesHooks Serving::leases_hooks() {
  LeasesHooks hooks;
  hooks.propose = [this](ExpireSessions command) {
    TRACE(host_.tag(), "expires" + to_text(command.sessions));
    judge(command);
    host_.node().submit(std::move(command), host_.world().options.call_ms,
                        [](const Result<Outcome>&) {});
  };
  hooks.send = [this](raft::NodeId to, SessionsServed message) {
    host_.transport().send(to, std::move(message));
  };
  hooks.members = [this]() -> const raft::Members& { return host_.node().core().members(); };
  return hooks;
}

void Serving::look_at_leader() {
  World& world = host_.world();
  const raft::NodeId leader = host_.node().core().leader();
  bool touches = false;
  std::uint64_t connections = 0;
  for (const auto& other : world.hosts) {
    if (!other->runs() || other->id() != leader) continue;
    const std::size_t here = host_.number();
    const std::size_t there = other->number();
    const Network& network = world.network;
    touches = here == there ||
              (network.reaches(here, there) && network.reaches(there, here) &&
               network.queued_bytes(here, there) == 0 && network.queued_bytes(there, here) == 0);
    connections = network.connections(here, there) + network.connections(there, here);
  }
  looked_us_ = world.now_us();
  if (touches && leader == leader_ && connections == connections_) return;
  leader_ = touches ? leader : raft::NodeId{};
  connections_ = connections;
  in_touch_us_ = looked_us_;
}

bool Serving::must_be_known(const std::string& session, raft::NodeId leader) const {
  const auto opened = opened_us_.find(session);
  if (opened == opened_us_.end() || leader_ != leader) return false;
  const World& world = host_.world();
  const std::uint64_t since_us = std::max(opened->second, in_touch_us_);
  const bool ticks =
      world.now_us() - looked_us_ <= std::uint64_t{10} * ms * world.options.node.tick_ms;
  return ticks && world.now_us() - since_us > patience_us(world.options);
}

// Of a session that a node reports none is expired.
void Serving::judge(const ExpireSessions& command) const {
  for (const auto& other : host_.world().hosts) {
    if (other->state() != Host::State::up || other->serving() == nullptr) continue;
    if (!raft::is_member(host_.node().core().members(), other->id())) continue;
    for (const std::string& session : command.sessions) {
      VERIFY(!other->serving()->must_be_known(session, host_.id()), "LE",
             "node " + to_text(host_.id()) + " expires " + session + ", which node " +
                 to_text(other->id()) + " serves");
    }
  }
}

void Serving::tick() {
  look_at_leader();
  const raft::Core& core = host_.node().core();
  listeners_.tick(core.leader().value != 0);
  leases_.tick(core.leader(), core.term(), core.role() == raft::Role::leader);
}

void Serving::on_applied(const raft::EntryPtr& entry, const Outcome& outcome) {
  listeners_.on_applied(entry, outcome);
  leases_.on_applied(entry, outcome);
}

// The queues of slow readers are bounded (hazard 88).
void Serving::pump() {
  pump_scheduled_ = false;
  listeners_.pump();
  const SimOptions& options = host_.world().options;
  // An empty queue takes an update of any size, and a page may end with one row too many.
  const std::size_t update_max = options.value_bytes_max + 300;
  const ListenersStatus status = listeners_.status();
  VERIFY(
      status.queued_bytes <= status.listeners * (options.listeners.buffer_bytes + 3 * update_max),
      "RB",
      std::to_string(status.queued_bytes) + " bytes are queued for " +
          std::to_string(status.listeners) + " listeners");
}

}  // namespace iris::sim
