#include "tests/sim/serving.h"

#include <string>
#include <utility>

#include "tests/sim/report.h"
#include "tests/sim/world.h"

namespace iris::sim {

namespace {

LeasesOptions leases_options(const SimOptions& options) {
  LeasesOptions leases;
  leases.tick_ms = options.node.tick_ms;
  leases.session_ttl_ms = options.session_ttl_ms;
  leases.expire_max = options.expire_max;
  leases.report_max = options.report_max;
  return leases;
}

}  // namespace

Serving::Serving(Host& host)
    : host_(host),
      life_(host.life()),
      history_(std::make_unique<NodeHistory>(host.node())),
      listeners_(host.world().options.listeners, host.store(), *history_, listeners_hooks()),
      leases_(leases_options(host.world().options), host.store(), leases_hooks()) {}

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
  hooks.opened = [this](const std::string& session) { leases_.opened(session); };
  return hooks;
}

LeasesHooks Serving::leases_hooks() {
  LeasesHooks hooks;
  hooks.propose = [this](ExpireSessions command) {
    TRACE(host_.tag(), "expires" + to_text(command.sessions));
    host_.node().submit(std::move(command), host_.world().options.call_ms,
                        [](const Result<Outcome>&) {});
  };
  hooks.report = [this](raft::NodeId leader, std::vector<std::string> sessions) {
    host_.transport().send(leader, SessionsServed{std::move(sessions)});
  };
  hooks.served = [this] { return listeners_.served(); };
  return hooks;
}

void Serving::tick() {
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
