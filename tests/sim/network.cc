#include "tests/sim/network.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "src/peers/wire.h"
#include "tests/sim/report.h"
#include "tests/sim/world.h"

namespace iris::sim {
namespace {

// A sender queues this much for one peer before it drops the newest.
constexpr std::size_t queued_bytes_max = 4u << 20;
constexpr std::size_t frame_overhead_bytes = 40;
constexpr std::uint64_t probe_timeout_us = 1'000'000;

std::size_t bytes_of(const PeerBody& body) {
  std::size_t bytes = frame_overhead_bytes;
  if (const auto* message = std::get_if<raft::Message>(&body)) {
    if (const auto* append = std::get_if<raft::AppendRequest>(&message->body)) {
      for (const raft::EntryPtr& entry : append->entries) bytes += raft::entry_bytes(*entry);
    }
  } else if (const auto* chunk = std::get_if<SnapshotChunk>(&body)) {
    bytes += chunk->bytes.size();
  } else if (const auto* forward = std::get_if<ForwardRequest>(&body)) {
    bytes += forward->command.size();
  }
  return bytes;
}

}  // namespace

struct Network::Envelope {
  PeerIdentity from;
  std::uint64_t from_life = 0;
  raft::NodeId to;
  std::uint64_t connection = 0;
  std::size_t bytes = 0;
  bool hello = false;   // a greeting without a message
  PeerBody body;        // empty with SimOptions::wire, and instead:
  std::string encoded;  // its bytes, as src/peers sends them
};

Network::Network(World& world, std::size_t hosts)
    : world_(world),
      hosts_(hosts),
      links_(hosts * hosts),
      random_(world.options.seed, static_cast<std::uint64_t>(RandomStream::network)) {}

bool Network::has(std::uint64_t chance, bool enabled) {
  // Drawn in any case, so that a run without one of the faults draws the same for the others.
  const bool hit = random_.chance(chance);
  return hit && enabled && !calm_;
}

std::uint64_t Network::arrival_us(Link& on, std::size_t bytes, bool ordered) {
  const SimOptions& options = world_.options;
  const std::uint64_t now = world_.now_us();
  std::uint64_t leaves = now;
  if (options.has(Fault::slow_link) && !calm_) {
    leaves = std::max(now, on.free_at_us) + bytes * 1'000'000 / options.link_bytes_per_s;
    on.free_at_us = leaves;
  }
  std::uint64_t arrives = leaves + options.delay_us + random_.below(options.jitter_us + 1);
  arrives = std::max(arrives, on.clogged_until_us + random_.below(1000));
  if (!ordered) return arrives + random_.below(40 * (options.delay_us + options.jitter_us) + 1);
  on.in_order_us = std::max(on.in_order_us, arrives);
  return on.in_order_us;
}

Network::Envelope Network::envelope_of(const Host& from, raft::NodeId to, const Link& on) {
  Envelope envelope;
  envelope.from = from.identity();
  envelope.from_life = from.life();
  envelope.to = to;
  envelope.connection = on.connection;
  return envelope;
}

void Network::hello(Host& from, raft::NodeId to, const std::string& address) {
  const Host* target = world_.host_at(address);
  if (target == nullptr || target == &from) return;
  Link& on = link(from.number(), target->number());
  if (on.blocked > 0 || target->has_admitted(from.id(), from.life())) return;
  Envelope envelope = envelope_of(from, to, on);
  envelope.bytes = frame_overhead_bytes;
  envelope.hello = true;
  dispatch(from.number(), target->number(), std::move(envelope), true);
}

void Network::send(Host& from, raft::NodeId to, const std::string& address, PeerBody body) {
  const SimOptions& options = world_.options;
  ++world_.stats.messages;
  const Host* target = world_.host_at(address);
  const bool raft_message = std::holds_alternative<raft::Message>(body);
  const bool lost = has(options.loss, options.has(Fault::loss) && raft_message);
  const bool doubled = has(options.duplicate, options.has(Fault::duplicate) && raft_message);
  const bool late = has(options.reorder, options.has(Fault::reorder) && raft_message);
  if (target == nullptr || target == &from || lost) return;
  Link& on = link(from.number(), target->number());
  const std::size_t bytes = bytes_of(body);
  if (on.blocked > 0 || on.queued_bytes + bytes > queued_bytes_max) return;

  const std::size_t kind = raft_message ? std::get<raft::Message>(body).body.index() : 0;
  Envelope envelope = envelope_of(from, to, on);
  envelope.bytes = bytes;
  if (options.wire) {
    const Status written = wire::write(body, envelope.encoded);
    VERIFY(written.has_value(), "NC", "a message cannot be encoded: " + to_text(body));
  } else {
    envelope.body = std::move(body);
  }
  if (doubled) repeat(from, target->number(), envelope);
  if (raft_message && options.has(Fault::duplicate)) {
    on.latest.at(kind) = std::make_shared<const Envelope>(envelope);
  }
  dispatch(from.number(), target->number(), std::move(envelope), !late);
}

// This message, or the latest of another kind. Each kind is equally likely, so that rare ones are
// repeated, too: a vote of an earlier term, an acknowledgement to a leader in its second term
// (hazards 5, 27).
void Network::repeat(const Host& from, std::size_t to, const Envelope& envelope) {
  const std::uint64_t how = random_.below(4);
  if (how < 2) return dispatch(from.number(), to, envelope, how == 0);
  const Link& on = link(from.number(), to);
  const std::shared_ptr<const Envelope> former = on.latest.at(random_.below(on.latest.size()));
  if (former == nullptr || former->from_life != from.life()) return;
  Envelope again = *former;
  again.connection = on.connection;
  dispatch(from.number(), to, std::move(again), true);
}

void Network::dispatch(std::size_t from, std::size_t to, Envelope envelope, bool ordered) {
  Link& on = link(from, to);
  on.queued_bytes += envelope.bytes;
  const std::uint64_t delay_us = arrival_us(on, envelope.bytes, ordered) - world_.now_us();
  world_.timeline.after(
      delay_us, [this, from, to, envelope = std::make_shared<Envelope>(std::move(envelope))] {
        arrive(from, to, *envelope);
      });
}

void Network::arrive(std::size_t from, std::size_t to, const Envelope& envelope) {
  Link& on = link(from, to);
  Host& target = *world_.hosts[to];
  if (on.connection != envelope.connection) return;
  on.queued_bytes -= envelope.bytes;
  if (!target.runs() || target.id() != envelope.to) return;
  if (envelope.hello) return target.greet(envelope.from, envelope.from_life);
  if (envelope.encoded.empty()) {
    target.deliver(envelope.from, envelope.from_life, {envelope.from.node, envelope.body});
    return;
  }
  const Status read = wire::read(
      envelope.encoded, envelope.from.node, envelope.to, [&target, &envelope](PeerBody body) {
        target.deliver(envelope.from, envelope.from_life, {envelope.from.node, std::move(body)});
        return true;
      });
  VERIFY(read.has_value(), "NC", "a message does not decode: " + read.error().text);
}

void Network::probe(Host& from, const std::string& address,
                    std::function<void(Result<PeerIdentity>)> done) {
  const std::uint64_t life = from.life();
  const std::uint64_t there_us =
      world_.options.delay_us + random_.below(world_.options.jitter_us + 1);
  world_.timeline.after(2 * there_us + 1, [this, &from, life, address, done = std::move(done)] {
    const Host* target = world_.host_at(address);
    const bool answers = target != nullptr && target->state() == Host::State::up &&
                         (target == &from || (reaches(from.number(), target->number()) &&
                                              reaches(target->number(), from.number())));
    if (answers) {
      const PeerIdentity who = target->identity();
      from.enter_life(life, [done, who] { done(who); });
      return;
    }
    world_.timeline.after(probe_timeout_us, [&from, life, done] {
      from.enter_life(life, [done] { done(fail(Errc::unavailable, "no answer")); });
    });
  });
}

bool Network::reaches(std::size_t from, std::size_t to) const {
  const Link& on = link(from, to);
  return on.blocked == 0 && on.clogged_until_us <= world_.now_us();
}

std::size_t Network::queued_bytes(std::size_t from, std::size_t to) const {
  // Only while something waits, as with a real connection: a message in transit is in no queue,
  // else a heartbeat a tick would fill a queue that was drawn for a single chunk.
  const Link& on = link(from, to);
  const bool waits = std::max(on.free_at_us, on.clogged_until_us) > world_.now_us();
  return waits ? on.queued_bytes : 0;
}

void Network::unblock(std::size_t from, std::size_t to) {
  Link& on = link(from, to);
  CHECK(on.blocked > 0);
  --on.blocked;
}

void Network::clog(std::size_t from, std::size_t to, std::uint64_t until_us) {
  Link& on = link(from, to);
  on.clogged_until_us = std::max(on.clogged_until_us, until_us);
}

void Network::cut(Link& on) {
  ++on.connection;
  on.queued_bytes = 0;
  on.free_at_us = 0;
  on.in_order_us = 0;
}

void Network::heal() {
  const std::uint64_t soon_us =
      world_.now_us() + world_.options.delay_us + world_.options.jitter_us;
  for (Link& on : links_) {
    on.blocked = 0;
    on.clogged_until_us = 0;
    // A slow link may have bytes for minutes in its queue.
    if (on.free_at_us > soon_us || on.in_order_us > soon_us) cut(on);
  }
}

// --- One life of a node.

const std::string* SimTransport::address_of(raft::NodeId id) const {
  for (const raft::Member& peer : peers_) {
    if (peer.id == id) return &peer.address;
  }
  return nullptr;
}

void SimTransport::set_peers(const std::vector<raft::Member>& peers) {
  peers_ = peers;
  TRACE(host_.tag(), "talks to " + to_text(raft::Members{peers, {}, {}}));
}

void SimTransport::send(raft::NodeId to, PeerBody body) {
  if (!host_.effect()) return;
  host_.node_judge().check_send(to, body);
  const std::string* address = address_of(to);
  if (address == nullptr) return;
  host_.world().network.send(host_, to, *address, std::move(body));
}

void SimTransport::dial() {
  for (const raft::Member& peer : peers_) {
    host_.world().network.hello(host_, peer.id, peer.address);
  }
}

void SimTransport::probe(const std::string& address,
                         std::function<void(Result<PeerIdentity>)> done) {
  if (!host_.effect()) return;
  host_.world().network.probe(host_, address, std::move(done));
}

std::optional<raft::Level> SimTransport::level_of(raft::NodeId to) const {
  const std::string* address = address_of(to);
  const Host* target = address == nullptr ? nullptr : host_.world().host_at(*address);
  const bool stands =
      target != nullptr && target->id() == to && target->has_admitted(host_.id(), host_.life());
  return stands ? std::optional(target->build()) : std::nullopt;
}

std::size_t SimTransport::queued_bytes(raft::NodeId to) const {
  const std::string* address = address_of(to);
  const Host* target = address == nullptr ? nullptr : host_.world().host_at(*address);
  if (target == nullptr) return 0;
  return host_.world().network.queued_bytes(host_.number(), target->number());
}

}  // namespace iris::sim
