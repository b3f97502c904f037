#include "src/peers/peers.h"

#include <algorithm>
#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/ip/v6_only.hpp>
#include <asio/post.hpp>
#include <asio/steady_timer.hpp>
#include <chrono>
#include <list>
#include <map>
#include <random>
#include <set>
#include <utility>

#include "raft/check.h"
#include "src/base/address.h"
#include "src/base/log.h"
#include "src/net/tls.h"
#include "src/peers/dial.h"
#include "src/peers/inbound.h"
#include "src/peers/link.h"

namespace iris {
namespace {

using asio::ip::tcp;
constexpr std::chrono::seconds log_pause{30};

}  // namespace

struct Peers::State : std::enable_shared_from_this<Peers::State> {
  State(asio::io_context& io, PeersOptions given, const Tls* with_tls, PeersHooks with_hooks)
      : loop(io),
        options(std::move(given)),
        tls(with_tls),
        hooks(std::move(with_hooks)),
        link_shared{io,    options, tls,    [this] { return identity(); },
                    stats, limiter, jitter, [this](const Link& link) { retire(link); }},
        inbound_shared{io,
                       options,
                       [this] { return identity(); },
                       [this](const wire::Hello& hello) { return admit(hello); },
                       [this](Inbound& inbound) { on_admitted(inbound); },
                       [this](PeerMessage message) { hooks.receive(std::move(message)); },
                       [this](Inbound& inbound) { on_ended(inbound); },
                       stats,
                       limiter} {}

  // The two ways to one peer. Members are kept; others go when their links are idle.
  struct Ways {
    std::string address;
    bool member = false;
    std::shared_ptr<Link> control;
    std::shared_ptr<Link> bulk;
  };

  PeerIdentity identity() const {
    PeerIdentity self = hooks.identity();
    CHECK(self.node == options.self && is_full_address(self.address));
    return self;
  }

  // --- The way out.

  void retire(const Link& link);
  void set_peers(const std::vector<raft::Member>& members);
  static void drop(Ways& way);
  static bool connected(const Ways& way);
  Ways* way_to(raft::NodeId to);
  void send(raft::NodeId to, const PeerBody& body);
  void probe(const std::string& address, std::function<void(Result<PeerIdentity>)> done);

  // --- The way in.

  // One for each address that -listen stands for.
  struct Door {
    explicit Door(asio::io_context& io) : acceptor(io), retry(io) {}
    tcp::acceptor acceptor;
    asio::steady_timer retry;
  };

  std::error_code open(const tcp::endpoint& endpoint);
  Status listen();
  [[nodiscard]] std::uint16_t port() const;
  void accept(Door& door);
  void on_accepted(Door& door, const std::error_code& error, tcp::socket socket);
  void displace_oldest_handshake();
  [[nodiscard]] Status admit(const wire::Hello& hello) const;
  Status check_stranger(raft::NodeId node) const;
  void on_admitted(Inbound& inbound);
  void on_ended(Inbound& inbound);
  [[nodiscard]] const Inbound* inbound_from(raft::NodeId node) const;

  void close();

  asio::io_context& loop;
  const PeersOptions options;
  const Tls* tls;
  PeersHooks hooks;
  PeersStats stats;
  LogLimiter limiter{log_pause};
  std::mt19937_64 jitter{std::random_device{}()};
  bool closed = false;

  std::list<Door> doors;
  const LinkShared link_shared;
  const InboundShared inbound_shared;
  std::map<raft::NodeId, Ways> ways;
  std::list<std::shared_ptr<Inbound>> inbounds;           // the oldest first
  std::map<std::uint64_t, std::shared_ptr<Dial>> probes;  // by number, from 1
  std::uint64_t probes_begun = 0;
};

// --- The way out.

void Peers::State::retire(const Link& link) {
  const auto found = ways.find(link.peer().id);
  if (found == ways.end()) return;
  Ways& way = found->second;
  if (way.bulk.get() == &link) way.bulk = nullptr;
  if (way.control.get() == &link && !way.member) way.control = nullptr;
  if (way.control == nullptr && way.bulk == nullptr) ways.erase(found);
}

void Peers::State::drop(Ways& way) {
  for (auto* link : {&way.control, &way.bulk}) {
    if (*link != nullptr) (*link)->close();
    *link = nullptr;
  }
}

void Peers::State::set_peers(const std::vector<raft::Member>& members) {
  std::set<raft::NodeId> wanted;
  for (const raft::Member& member : members) {
    if (member.id == options.self) continue;
    wanted.insert(member.id);
    Ways& way = ways[member.id];
    if (way.address != member.address) drop(way);
    way.address = member.address;
    way.member = true;
    if (way.control == nullptr) {
      way.control = std::make_shared<Link>(link_shared, member, wire::Purpose::control);
    }
    way.control->keep(true);
  }
  for (auto& [id, way] : ways) {
    if (!way.member || wanted.contains(id)) continue;
    way.member = false;
    way.control->keep(false);
  }
}

// To a member; to a former one while the connection still stands; to a stranger that is on the
// line. nullptr: to nobody.
Peers::State::Ways* Peers::State::way_to(raft::NodeId to) {
  const auto found = ways.find(to);
  if (found != ways.end() && (found->second.member || connected(found->second))) {
    return &found->second;
  }
  const Inbound* inbound = inbound_from(to);
  if (inbound == nullptr) return nullptr;
  Ways& way = ways[to];
  if (way.address.empty()) way.address = inbound->hello()->sender.address;
  return &way;
}

bool Peers::State::connected(const Ways& way) {
  return way.control != nullptr && way.control->connected();
}

void Peers::State::send(raft::NodeId to, const PeerBody& body) {
  Ways* way = closed ? nullptr : way_to(to);
  if (way == nullptr) {
    ++stats.messages_dropped;
    return;
  }
  const bool chunk = std::holds_alternative<SnapshotChunk>(body);
  auto& link = chunk ? way->bulk : way->control;
  if (link == nullptr) {
    link = std::make_shared<Link>(link_shared, raft::Member{to, way->address},
                                  chunk ? wire::Purpose::bulk : wire::Purpose::control);
  }
  link->send(body);
}

void Peers::State::probe(const std::string& address,
                         std::function<void(Result<PeerIdentity>)> done) {
  if (closed) return;
  if (probes.size() >= options.probes_max) {
    asio::post(loop, [weak = weak_from_this(), done = std::move(done)] {
      const auto self = weak.lock();
      if (self != nullptr && !self->closed) {
        done(fail(Errc::limit, "over the limit of probes at a time"));
      }
    });
    return;
  }
  const wire::Hello hello{.sender = identity(), .purpose = wire::Purpose::probe};
  const std::uint64_t number = ++probes_begun;
  probes[number] = Dial::start(
      loop, tls, address, hello, options.dial_ms_max,
      [weak = weak_from_this(), number, done = std::move(done)](Result<Dialled> result) {
        const auto self = weak.lock();
        if (self == nullptr || self->closed) return;
        self->probes.erase(number);
        if (!result) return done(unexpected(result.error()));
        result->stream->close();
        done(result->peer);
      });
}

// --- The way in.

std::error_code Peers::State::open(const tcp::endpoint& endpoint) {
  std::error_code error;
  Door& door = doors.emplace_back(loop);
  tcp::acceptor& acceptor = door.acceptor;
  static_cast<void>(acceptor.open(endpoint.protocol(), error));
  if (!error) static_cast<void>(acceptor.set_option(tcp::acceptor::reuse_address(true), error));
  if (!error && endpoint.protocol() == tcp::v6()) {
    // Every interface is every interface of IPv4 too, as it is for gRPC.
    static_cast<void>(
        acceptor.set_option(asio::ip::v6_only(!endpoint.address().is_unspecified()), error));
  }
  if (!error) static_cast<void>(acceptor.bind(endpoint, error));
  if (!error) static_cast<void>(acceptor.listen(tcp::acceptor::max_listen_connections, error));
  if (error) {
    doors.pop_back();
  } else {
    accept(door);
  }
  return error;
}

Status Peers::State::listen() {
  std::vector<tcp::endpoint> endpoints;
  std::error_code error;
  if (options.listen.empty()) {  // IPv6 sockets take IPv4 too; some hosts have no IPv6
    tcp::acceptor test(loop);
    static_cast<void>(test.open(tcp::v6(), error));
    endpoints.emplace_back(error ? tcp::v4() : tcp::v6(), options.port);
  } else {  // before the loop runs, so that waiting for a name server holds up nobody
    for (const auto& found : tcp::resolver(loop).resolve(
             options.listen, std::to_string(options.port), tcp::resolver::passive, error)) {
      endpoints.push_back(found.endpoint());
    }
    if (endpoints.empty()) {
      return fail(Errc::io, "-listen " + options.listen + " is not resolved: " + error.message());
    }
  }
  Status opened = Unit{};
  for (tcp::endpoint endpoint : endpoints) {
    if (!doors.empty()) endpoint.port(port());  // where any was free, all take the same
    error = open(endpoint);
    if (!error) continue;
    const bool taken = error == asio::error::address_in_use;
    opened = fail(Errc::io, "the raft port " + endpoint_text(endpoint) + " (-port + 1) " +
                                (taken ? "is in use by another process"
                                       : "cannot be opened: " + error.message()));
    if (taken) return opened;
  }
  // A name may stand for addresses that this host does not have (::1 where IPv6 is off).
  return doors.empty() ? opened : Unit{};
}

std::uint16_t Peers::State::port() const {
  std::error_code error;
  CHECK(!doors.empty());
  const auto endpoint = doors.front().acceptor.local_endpoint(error);
  CHECK(!error);
  return endpoint.port();
}

void Peers::State::accept(Door& door) {
  door.acceptor.async_accept(
      [weak = weak_from_this(), &door](const std::error_code& error, tcp::socket socket) {
        const auto self = weak.lock();
        if (self != nullptr && !self->closed) self->on_accepted(door, error, std::move(socket));
      });
}

void Peers::State::on_accepted(Door& door, const std::error_code& error, tcp::socket socket) {
  if (error) {
    // Out of descriptors or memory: the connection still waits, so an immediate retry would spin.
    ++stats.accept_errors;
    if (const auto left_out = limiter.allow("accept" + error.message(), LogLimiter::Clock::now())) {
      log(LogLevel::error, "cannot accept connections on the raft port",
          {{"why", error.message()}, {"left_out", *left_out}});
    }
    door.retry.expires_after(std::chrono::milliseconds(options.accept_retry_ms));
    door.retry.async_wait([weak = weak_from_this(), &door](const std::error_code& cancelled) {
      const auto self = weak.lock();
      if (self != nullptr && !self->closed && !cancelled) self->accept(door);
    });
    return;
  }
  ++stats.accepted;
  ssl_st* session = tls != nullptr ? tls->new_acceptor() : nullptr;
  if (tls == nullptr || session != nullptr) {
    displace_oldest_handshake();
    auto inbound = std::make_shared<Inbound>(inbound_shared,
                                             std::make_shared<Stream>(std::move(socket), session));
    inbounds.push_back(inbound);
    inbound->start();
  }
  accept(door);
}

// Whoever opens connections and says nothing, or says it slowly, gets in nobody's way (hazard 110):
// a peer's handshake takes milliseconds, so the oldest under way is never the one that matters.
void Peers::State::displace_oldest_handshake() {
  const auto unknown = [](const auto& inbound) { return !inbound->hello(); };
  const auto count = std::count_if(inbounds.begin(), inbounds.end(), unknown);
  if (static_cast<std::size_t>(count) < options.handshakes_max) return;
  const auto oldest = *std::find_if(inbounds.begin(), inbounds.end(), unknown);
  oldest->end("displaced: over the limit of " + std::to_string(options.handshakes_max) +
              " unfinished handshakes");
}

Status Peers::State::admit(const wire::Hello& hello) const {
  const PeerIdentity self = identity();
  const std::string me = "node " + hex_id(self.node.value) + " at " + self.address;
  if (!wire::speaks(hello.version, hello.version_oldest)) {
    return fail(Errc::refused,
                me + " speaks protocol versions " + std::to_string(wire::version_oldest) + " to " +
                    std::to_string(wire::version) + ", the other end " +
                    std::to_string(hello.version_oldest) + " to " + std::to_string(hello.version));
  }
  if (hello.expected.value != 0 && hello.expected != self.node) {
    return fail(Errc::refused, "here is " + me + ", not node " + hex_id(hello.expected.value));
  }
  if (hello.purpose == wire::Purpose::probe) return Unit{};
  if (hello.sender.node == self.node) return fail(Errc::refused, "here is " + me + ", itself");
  if (Status greeted = hooks.greet(hello.sender); !greeted) return greeted;
  return check_stranger(hello.sender.node);
}

// Members are as many as they are; of others, only some may talk to this node at a time.
Status Peers::State::check_stranger(raft::NodeId node) const {
  const auto is_member = [this](raft::NodeId id) {
    const auto found = ways.find(id);
    return found != ways.end() && found->second.member;
  };
  if (is_member(node)) return Unit{};
  std::set<raft::NodeId> strangers;
  for (const auto& inbound : inbounds) {
    if (inbound->hello() && !is_member(inbound->hello()->sender.node)) {
      strangers.insert(inbound->hello()->sender.node);
    }
  }
  if (strangers.contains(node) || strangers.size() < options.strangers_max) return Unit{};
  return fail(Errc::limit, "over the limit of " + std::to_string(options.strangers_max) +
                               " connected nodes that are no members");
}

// One connection per node and purpose: what still comes on a former one is of the past
// (hazard 108).
void Peers::State::on_admitted(Inbound& inbound) {
  const wire::Hello& hello = *inbound.hello();
  std::vector<std::shared_ptr<Inbound>> former;
  for (const auto& other : inbounds) {
    if (other.get() != &inbound && other->hello() && other->hello()->purpose == hello.purpose &&
        other->hello()->sender.node == hello.sender.node) {
      former.push_back(other);
    }
  }
  for (const auto& other : former) other->end("its node dialled again");
  const auto way = ways.find(hello.sender.node);
  if (way == ways.end()) return;
  for (const auto& link : {way->second.control, way->second.bulk}) {
    if (link != nullptr) link->on_peer_heard();
  }
}

void Peers::State::on_ended(Inbound& inbound) {
  inbounds.remove_if([&](const auto& each) { return each.get() == &inbound; });
}

const Inbound* Peers::State::inbound_from(raft::NodeId node) const {
  for (const auto& inbound : inbounds) {
    if (inbound->hello() && inbound->hello()->sender.node == node) return inbound.get();
  }
  return nullptr;
}

void Peers::State::close() {
  if (std::exchange(closed, true)) return;
  for (Door& door : doors) {
    std::error_code ignored;
    static_cast<void>(door.acceptor.close(ignored));
    door.retry.cancel();
  }
  for (const auto& [number, dial] : probes) dial->cancel();
  probes.clear();
  for (auto& [id, way] : ways) drop(way);
  ways.clear();
  while (!inbounds.empty()) inbounds.front()->end({});
}

// --- The face.

Peers::Peers(asio::io_context& loop, PeersOptions options, const Tls* tls, PeersHooks hooks)
    : state_(std::make_shared<State>(loop, std::move(options), tls, std::move(hooks))) {
  CHECK(state_->options.self.value != 0);
  CHECK(state_->options.queue_bytes_max >= wire::message_bytes_max + frame_header_bytes);
}

Peers::~Peers() { close(); }

Status Peers::listen() { return state_->listen(); }

std::uint16_t Peers::port() const { return state_->port(); }

void Peers::close() { state_->close(); }

void Peers::set_peers(const std::vector<raft::Member>& peers) {
  if (!state_->closed) state_->set_peers(peers);
}

void Peers::send(raft::NodeId to, PeerBody body) { state_->send(to, body); }

void Peers::probe(const std::string& address, std::function<void(Result<PeerIdentity>)> done) {
  state_->probe(address, std::move(done));
}

std::size_t Peers::queued_bytes(raft::NodeId to) const {
  const auto found = state_->ways.find(to);
  if (found == state_->ways.end()) return 0;
  std::size_t bytes = 0;
  for (const auto& link : {found->second.control, found->second.bulk}) {
    if (link != nullptr) bytes += link->queued_bytes();
  }
  return bytes;
}

bool Peers::connected(raft::NodeId to) const {
  const auto found = state_->ways.find(to);
  return found != state_->ways.end() && State::connected(found->second);
}

std::size_t Peers::accepted_open() const { return state_->inbounds.size(); }

const PeersStats& Peers::stats() const { return state_->stats; }

}  // namespace iris
