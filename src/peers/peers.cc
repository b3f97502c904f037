#include "src/peers/peers.h"

#include <asio/io_context.hpp>
#include <asio/post.hpp>
#include <chrono>
#include <map>
#include <random>
#include <utility>

#include "raft/check.h"
#include "src/base/address.h"
#include "src/base/log.h"
#include "src/base/log_limiter.h"
#include "src/net/acceptor.h"
#include "src/net/tls.h"
#include "src/peers/complaints.h"
#include "src/peers/dial.h"
#include "src/peers/inbounds.h"
#include "src/peers/links.h"

namespace iris {
namespace {

constexpr std::chrono::seconds log_pause{30};

}  // namespace

struct Peers::State : std::enable_shared_from_this<Peers::State> {
  State(asio::io_context& io, PeersOptions given, const Tls* with_tls, PeersHooks with_hooks)
      : loop(io),
        options(std::move(given)),
        tls(with_tls),
        hooks(std::move(with_hooks)),
        links({dialling, options, [this] { return identity(); }, stats, of_links, chance, {}, {}}),
        inbounds(
            io, options,
            {[this] { return identity(); }, hooks.greet, hooks.receive,
             [this](raft::NodeId node) { return links.is_member(node); },
             [this](const asio::ip::address& address) { return links.is_member_address(address); },
             [this](raft::NodeId node, const asio::ip::address& address) {
               links.on_peer_heard(node, address);
             }},
            stats, of_members, of_strangers, chance),
        acceptor(std::make_shared<Acceptor>(
            io,
            AcceptorOptions{.name = "the raft port",
                            .flag = "-port + 1",
                            .host = options.listen,
                            .port = options.port,
                            .retry_ms = options.accept_retry_ms,
                            .inherited = options.inherited},
            AcceptorHooks{[this](io::Socket socket) { on_accepted(std::move(socket)); },
                          [this](const std::error_code& error) { on_accept_failed(error); }})) {}

  [[nodiscard]] PeerIdentity identity() const {
    PeerIdentity self = hooks.identity();
    CHECK(self.node == options.self && is_full_address(self.address));
    return self;
  }

  void on_accepted(io::Socket socket);
  void on_accept_failed(const std::error_code& error);
  void send(raft::NodeId to, const PeerBody& body);
  void probe(const std::string& address, std::function<void(Result<PeerIdentity>)> done);
  void close();

  asio::io_context& loop;
  const PeersOptions options;
  const Tls* tls;
  const PeersHooks hooks;
  PeersStats stats;
  // What the log says, limited for each kind by itself.
  LogLimiter of_acceptor{log_pause};
  Complaints of_links{log_pause};
  Complaints of_members{log_pause};
  Complaints of_strangers{log_pause};
  std::mt19937_64 chance{options.seed != 0 ? options.seed : std::random_device{}()};
  NameLookup names{loop};
  const DialContext dialling{loop, tls, names};
  bool closed = false;

  Links links;
  Inbounds inbounds;
  const std::shared_ptr<Acceptor> acceptor;
  std::map<std::uint64_t, std::shared_ptr<Dial>> probes;  // by number, from 1
  std::uint64_t probes_begun = 0;
};

void Peers::State::on_accepted(io::Socket socket) {
  ++stats.accepted;
  ssl_st* session = tls != nullptr ? tls->new_acceptor() : nullptr;
  if (tls != nullptr && session == nullptr) return;  // out of memory: the socket closes
  inbounds.take(std::move(socket), session);
}

void Peers::State::on_accept_failed(const std::error_code& error) {
  ++stats.accept_errors;
  if (const auto left_out =
          of_acceptor.allow("accept" + error.message(), LogLimiter::Clock::now())) {
    log(LogLevel::error, "cannot accept connections on the raft port",
        {{"why", error.message()}, {"left_out", *left_out}});
  }
}

void Peers::State::send(raft::NodeId to, const PeerBody& body) {
  const std::string address = links.reaches(to) ? std::string() : inbounds.address_of(to);
  if (closed || !links.send(to, body, address)) ++stats.messages_dropped;
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
      dialling, address, hello, options.dial_ms_max,
      [weak = weak_from_this(), number, done = std::move(done)](Result<Dialled> result) {
        const auto self = weak.lock();
        if (self == nullptr || self->closed) return;
        self->probes.erase(number);
        if (!result) return done(unexpected(result.error()));
        result->stream->close();
        done(result->peer);
      });
}

void Peers::State::close() {
  if (std::exchange(closed, true)) return;
  acceptor->close();
  for (const auto& [number, dial] : probes) dial->cancel();
  probes.clear();
  links.close();
  inbounds.close();
}

Peers::Peers(asio::io_context& loop, PeersOptions options, const Tls* tls, PeersHooks hooks)
    : state_(std::make_shared<State>(loop, std::move(options), tls, std::move(hooks))) {
  CHECK(state_->options.self.value != 0);
  CHECK(state_->options.queue_bytes_max >= wire::message_bytes_max + frame_header_bytes);
}

Peers::~Peers() { close(); }

Status Peers::listen() { return state_->acceptor->listen(); }

std::uint16_t Peers::port() const { return state_->acceptor->port(); }

void Peers::close() { state_->close(); }

void Peers::set_peers(const std::vector<raft::Member>& peers) {
  if (!state_->closed) state_->links.set_members(peers, state_->options.self);
}

void Peers::send(raft::NodeId to, PeerBody body) { state_->send(to, body); }

void Peers::probe(const std::string& address, std::function<void(Result<PeerIdentity>)> done) {
  state_->probe(address, std::move(done));
}

std::size_t Peers::queued_bytes(raft::NodeId to) const { return state_->links.queued_bytes(to); }

bool Peers::connected(raft::NodeId to) const { return state_->links.connected(to); }

std::optional<raft::Level> Peers::level_of(raft::NodeId to) const {
  return state_->links.level_of(to);
}

std::size_t Peers::accepted_open() const { return state_->inbounds.size(); }

const PeersStats& Peers::stats() const { return state_->stats; }

}  // namespace iris
