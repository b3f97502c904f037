#include "tests/peers_sim/node_program.h"

#include <asio/post.hpp>
#include <utility>

#include "raft/check.h"

namespace iris::peers_sim {

NodeProgram::NodeProgram(Host& host, const World& world, sim::ModelDisk& disk, OnApplied on_applied,
                         OnHalt on_halt)
    : host_(host),
      disk_(disk),
      store_(std::make_unique<sim::ModelStore>(
          disk, [&host](std::uint64_t delay_us, std::function<void()> work) {
            host.after(delay_us, std::move(work));
          })) {
  const std::uint64_t seed = host.seed();
  PeersOptions on_wire = world.plan().peers;
  on_wire.self = host.id();
  on_wire.seed = seed;
  peers_ = std::make_unique<Peers>(
      host.loop(), on_wire, nullptr,
      PeersHooks{.identity =
                     [this] {
                       return PeerIdentity{host_.id(), node_->cluster(), host_.address()};
                     },
                 .greet = [this](const PeerIdentity& peer) { return node_->greet(peer); },
                 .receive = [this](PeerMessage message) { node_->receive(std::move(message)); }});
  NodeOptions options;
  options.tick_ms = static_cast<std::uint32_t>(tick_ms);
  options.address = host.address();
  options.disk_reserve_bytes = 0;
  options.raft.seed = options.life_seed = options.cluster_seed = seed;
  node_ = std::make_unique<Node>(options, *store_, *peers_,
                                 hooks(std::move(on_applied), std::move(on_halt)));
  node_->start();
  CHECK(peers_->listen());
  tick_later();
}

// The process is killed: nobody is told anything, and what was not synced may be lost.
NodeProgram::~NodeProgram() {
  node_.reset();
  peers_.reset();
  store_.reset();
  disk_.crash({});
}

NodeHooks NodeProgram::hooks(OnApplied on_applied, OnHalt on_halt) {
  NodeHooks hooks;
  hooks.schedule_flush = [this] { asio::post(host_.loop(), [this] { node_->flush(); }); };
  hooks.on_applied = [on_applied = std::move(on_applied)](const raft::EntryPtr& entry,
                                                          const Outcome&) { on_applied(entry); };
  hooks.on_halt = [on_halt = std::move(on_halt)](bool, const Error& why) { on_halt(why); };
  return hooks;
}

void NodeProgram::tick_later() {
  host_.after(tick_ms * 1000, [this] {
    node_->tick();
    tick_later();
  });
}

}  // namespace iris::peers_sim
