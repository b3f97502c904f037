// Long file: the start and the stop of the process, each in one written order; what happens between
// is in the rooms it wires.
#include "src/server/server.h"

#include <sys/random.h>
#include <unistd.h>

#include <algorithm>
#include <asio/io_context.hpp>
#include <asio/post.hpp>
#include <asio/signal_set.hpp>
#include <asio/steady_timer.hpp>
#include <chrono>
#include <csignal>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "raft/members.h"
#include "src/api/api.h"
#include "src/base/log.h"
#include "src/base/scheduling.h"
#include "src/base/version.h"
#include "src/discovery/discovery.h"
#include "src/discovery/formation.h"
#include "src/listeners/leases.h"
#include "src/listeners/listeners.h"
#include "src/net/grpc_tls.h"
#include "src/net/own_address.h"
#include "src/net/tls.h"
#include "src/node/node.h"
#include "src/peers/peers.h"
#include "src/peers/wire.h"
#include "src/server/notify.h"
#include "store/rocks.h"

namespace iris {
namespace {

using Milliseconds = std::chrono::milliseconds;

constexpr std::uint32_t tick_ms_max = 10;
constexpr Milliseconds second{1'000};
constexpr std::uint64_t own_call_ms_max = 5'000;  // calls this node makes of itself

// The stop as a whole takes less than 2 s: these are its three waits.
constexpr std::uint32_t resign_ms_max = 600;
constexpr std::uint32_t drain_ms_max = 700;
constexpr Milliseconds stela_ms_max{300};

// Days before the end of a certificate at which it is said.
constexpr std::int64_t expiry_days_warned[] = {1, 7, 30};
constexpr std::int64_t day_s = 86'400;
constexpr int certificate_check_s = 10;

std::uint64_t random_number() {
  std::uint64_t number = 0;
  CHECK(::getrandom(&number, sizeof number, 0) == sizeof number);
  return number;
}

std::int64_t unix_now_s() {
  return std::chrono::duration_cast<std::chrono::seconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

raft::Members latest_members(const raft::Recovered& recovered) {
  return raft::latest_members(recovered.floor, recovered.entries).members;
}

class NodeHistory final : public History {
 public:
  explicit NodeHistory(const Node& node) : node_(node) {}
  raft::EntryPtr entry(raft::Index index) const override { return node_.core().entry(index); }
  raft::Index first() const override { return node_.floor().next(); }
  raft::Index applied() const override { return node_.applied(); }

 private:
  const Node& node_;
};

}  // namespace

struct Server::State {
  explicit State(Options given) : options(std::move(given)) {}

  // --- Start, in this order. False: said why, exit_code is set.
  bool load_tls();
  bool open_store();
  void choose_address();
  bool make_discovery();
  void make_node();
  void make_listeners();
  bool listen();
  void become_member();
  void await_signals();

  void join(std::vector<std::string> targets, std::size_t expect);

  // --- While it runs.
  void tick();
  void every_second();
  void tell_status();
  void reload(bool asked);
  void warn_of_expiry();
  void halt(bool clean, const Error& why);

  // --- Stop, in this order.
  void stop(std::string_view why);
  void hand_over();
  void drain();
  void leave_loop();
  void close_all();

  bool refuse(int code, const std::string& text) {
    log(LogLevel::error, "cannot start", {{"reason", text}});
    exit_code = code;
    return false;
  }
  void post(std::function<void()> job) { asio::post(loop, std::move(job)); }

  const Options options;
  Scheduling scheduling;
  int exit_code = exit_ok;
  asio::io_context loop{1};
  asio::steady_timer ticker{loop};
  asio::steady_timer seconds{loop};
  asio::steady_timer patience{loop};
  asio::signal_set signals{loop};
  std::uint32_t tick_ms = tick_ms_max;
  std::string address;  // own raft address

  std::unique_ptr<Tls> tls;
  std::unique_ptr<GrpcTls> grpc_tls;
  std::unique_ptr<store::Store> store;
  std::unique_ptr<Peers> peers;
  std::unique_ptr<Node> node;
  std::unique_ptr<NodeHistory> history;
  std::unique_ptr<Listeners> listeners;
  std::unique_ptr<Leases> terms;
  std::unique_ptr<Api> api;
  std::unique_ptr<Formation> formation;
  std::unique_ptr<Discovery> discovery;

  bool flush_scheduled = false;
  bool pump_scheduled = false;
  bool stopping = false;
  bool signalled = false;  // told to stop, which it may have been doing already
  bool draining = false;
  bool closed =
      false;  // a timer that expired before it was cancelled still comes, and finds nobody
  std::string status_told;
  std::int64_t expiry_warned_days = 0;
  int seconds_since_check = 0;
};

// --- Start.

bool Server::State::load_tls() {
  if (options.insecure) return true;
  auto loaded = Tls::load(options.tls, options.server_name);
  if (!loaded) {
    return refuse(exit_config, loaded.error().text +
                                   " (the files of -cert, -key and -ca; -insecure does without)");
  }
  tls = std::move(*loaded);
  if (!tls->bears_server_name()) {
    log(LogLevel::warn,
        "other nodes will refuse this node's certificate: it does not bear the name",
        {{"file", options.tls.certificate}, {"name", options.server_name}});
  }
  grpc_tls = std::make_unique<GrpcTls>(tls->material());
  return true;
}

bool Server::State::open_store() {
  store::RocksOptions rocks;
  rocks.path = options.raft_dir;
  rocks.post = [this](std::function<void()> job) { post(std::move(job)); };
  // Growth is refused first; what RocksDB does behind the scenes may use half of the reserve.
  rocks.disk_kept_free_bytes = options.disk_reserve_bytes / 2;
  auto opened = store::open_rocks(std::move(rocks));
  if (!opened) return refuse(exit_failure, opened.error().text);
  store = std::move(*opened);
  return true;
}

void Server::State::choose_address() {
  const raft::Recovered& recovered = store->recovered().raft;
  OwnAddressHints hints{options.advertise, options.listen, "", options.join, "127.0.0.1"};
  if (!options.no_stela) hints.otherwise = Stela::own_ipv4_address();
  const raft::Members members = latest_members(recovered);
  hints.recorded = raft::address_of(members, recovered.self);
  for (const raft::Member& member : raft::all_members(members)) {
    if (member.id != recovered.self) hints.towards.push_back(member.address);
  }
  address = own_raft_address(hints, options.port + 1);
}

bool Server::State::make_discovery() {
  if (options.no_stela) return true;
  const auto own = parse_address(address);
  CHECK(own);
  DiscoveryOptions settings;
  settings.stela = options.stela;
  settings.server_name = options.stela_server_name;
  if (!options.insecure) settings.tls = options.stela_tls;
  settings.own_host = own->host;
  settings.listen = options.listen;
  settings.port = static_cast<std::uint16_t>(options.port);
  discovery = std::make_unique<Discovery>(
      loop, std::move(settings),
      DiscoveryHooks{
          .seeking = [this] { return !stopping && !node->admitted() && options.join.empty(); },
          .join = [this](std::vector<std::string> targets,
                         std::size_t expect) { join(std::move(targets), expect); }});
  const Status loaded = discovery->load_certificates();
  if (loaded) return true;
  const store::Recovery& disk = store->recovered();
  const bool empty = disk.cluster.value == 0 && latest_members(disk.raft).voters.empty();
  if (empty && options.join.empty() && options.bootstrap_expect != 1) {
    return refuse(exit_config, loaded.error().text);
  }
  log(LogLevel::error, "not at Stela before SIGHUP finds better certificates",
      {{"reason", loaded.error().text}});
  return true;
}

void Server::State::make_node() {
  const raft::NodeId self = store->recovered().raft.self;
  peers = std::make_unique<Peers>(
      loop,
      PeersOptions{.self = self,
                   .listen = options.listen,
                   .port = static_cast<std::uint16_t>(options.port + 1)},
      tls.get(),
      PeersHooks{.identity =
                     [this, self] {
                       return PeerIdentity{self, node->cluster(), address};
                     },
                 .greet = [this](const PeerIdentity& peer) { return node->greet(peer); },
                 .receive = [this](PeerMessage message) { node->receive(std::move(message)); }});

  NodeOptions settings;
  tick_ms = std::clamp(options.heartbeat_ms / 5, 1u, tick_ms_max);
  settings.tick_ms = tick_ms;
  settings.raft.heartbeat_ticks = std::max(options.heartbeat_ms / tick_ms, 1u);
  settings.raft.election_ticks = options.election_ms / tick_ms;
  settings.raft.seed = random_number();
  settings.raft.entry_bytes_max =
      options.limits.message_bytes_max() + options.limits.name_bytes_max;
  settings.address = address;
  settings.log_bytes_max = options.log_bytes_max;
  settings.snapshot_bytes_per_second = options.snapshot_bytes_per_second;
  settings.disk_reserve_bytes = options.disk_reserve_bytes;
  settings.cluster_seed = random_number();
  settings.life_seed = random_number();

  NodeHooks hooks;
  hooks.schedule_flush = [this] {
    if (std::exchange(flush_scheduled, true)) return;
    asio::post(loop, [this] {
      flush_scheduled = false;
      if (node) node->flush();
    });
  };
  hooks.on_applied = [this](const raft::EntryPtr& entry, const Outcome& outcome) {
    listeners->on_applied(entry, outcome);
    terms->on_applied(entry, outcome);
  };
  hooks.on_installed = [this](raft::Index index) { listeners->on_installed(index); };
  hooks.log_kept = [this]() -> std::optional<raft::Index> {
    return listeners ? listeners->keeps_log_after() : std::nullopt;
  };
  hooks.on_trimmed = [this](raft::Index floor) { listeners->on_trimmed(floor); };
  hooks.on_sessions_served = [this](const SessionsServed& served) {
    terms->on_served(served.sessions);
  };
  hooks.on_halt = [this](bool clean, const Error& why) { halt(clean, why); };
  node = std::make_unique<Node>(std::move(settings), *store, *peers, std::move(hooks));
  history = std::make_unique<NodeHistory>(*node);
}

void Server::State::make_listeners() {
  ListenersOptions settings;
  settings.tick_ms = tick_ms;
  settings.buffer_bytes = options.listener_buffer_bytes;
  settings.listeners_max = options.listeners_max;
  ListenersHooks hooks;
  hooks.schedule_pump = [this] {
    if (std::exchange(pump_scheduled, true)) return;
    asio::post(loop, [this] {
      pump_scheduled = false;
      if (listeners) listeners->pump();
    });
  };
  hooks.barrier = [this](std::function<void(Status)> done) {
    node->read(Consistency::linearizable, 0, own_call_ms_max, std::move(done));
  };
  hooks.opened = [this](const std::string& session) { terms->opened(session); };
  listeners = std::make_unique<Listeners>(settings, *store, *history, std::move(hooks));

  LeasesOptions times;
  times.tick_ms = tick_ms;
  times.session_ttl_ms = static_cast<std::uint64_t>(options.session_ttl.count());
  LeasesHooks calls;
  calls.propose = [this](ExpireSessions command) {
    node->submit(std::move(command), own_call_ms_max, [](const Result<Outcome>&) {});
  };
  calls.report = [this](raft::NodeId leader, std::vector<std::string> sessions) {
    peers->send(leader, SessionsServed{std::move(sessions)});
  };
  calls.served = [this] { return listeners->served(); };
  terms = std::make_unique<Leases>(times, *store, std::move(calls));
}

bool Server::State::listen() {
  ApiOptions settings;
  settings.host = options.listen;
  settings.port = static_cast<std::uint16_t>(options.port);
  settings.limits = options.limits;
  settings.disk_reserve_bytes = options.disk_reserve_bytes;
  if (grpc_tls) {
    settings.credentials = grpc_tls->server_credentials();
    settings.certificate_expires_s = [this] { return tls->material().expires_s; };
  }
  api = std::make_unique<Api>(loop, *node, *store, *listeners, std::move(settings));
  if (const Status can = peers->listen(); !can) return refuse(exit_failure, can.error().text);
  if (const Status can = api->start(); !can) return refuse(exit_failure, can.error().text);
  api->set_serving(true);
  log(LogLevel::info, "serving",
      {{"version", std::string(version)},
       {"id", hex_id(store->recovered().raft.self.value)},
       {"port", std::uint64_t{options.port}},
       {"raft_address", address},
       {"tls", !options.insecure},
       {"raftdir", options.raft_dir}});
  if (options.insecure && !is_loopback(options.listen)) {
    log(LogLevel::warn, "anybody who reaches this host can read and write: no TLS (-insecure)");
  }
  return true;
}

// Data on disk wins: what follows is for a node that belongs to no cluster.
void Server::State::become_member() {
  if (discovery) discovery->start();
  if (node->admitted()) {
    if (!options.join.empty()) {
      log(LogLevel::info, "the raft folder holds a member's data already, so -join is not used",
          {{"raftdir", options.raft_dir}, {"cluster", hex_id(store->recovered().cluster.value)}});
    }
    return;
  }
  if (!options.join.empty()) return join(options.join, options.bootstrap_expect);
  if (node->initialized()) return;  // adopted, and waits for its log
  if (options.no_stela || options.bootstrap_expect == 1) node->bootstrap();
}

void Server::State::join(std::vector<std::string> targets, std::size_t expect) {
  if (!formation) {
    FormationOptions settings;
    settings.self = store->recovered().raft.self;
    settings.raft_address = address;
    settings.server_name = options.server_name;
    if (options.join.empty()) settings.counted_by = "Stela";
    if (grpc_tls) settings.credentials = grpc_tls->channel_credentials();
    formation = std::make_unique<Formation>(
        std::move(settings),
        FormationHooks{.post = [this](std::function<void()> job) { post(std::move(job)); },
                       .found =
                           [this] {
                             if (!stopping && !node->initialized()) node->bootstrap();
                           }});
  }
  // One that was adopted waits, or asks again; it founds nothing any more.
  formation->set_targets(std::move(targets), node->initialized() ? 0 : expect);
}

void Server::State::await_signals() {
  signals.async_wait([this](const asio::error_code& error, int signal) {
    if (error) return;
    if (signal == SIGHUP) {
      reload(true);
    } else if (std::exchange(signalled, true)) {
      log(LogLevel::warn, "stopped at once", {{"reason", "a second signal"}});
      ::_exit(exit_failure);
    } else {
      stop(signal == SIGINT ? "interrupted" : "terminated");
    }
    await_signals();
  });
}

// --- While it runs.

void Server::State::tick() {
  // A late timer is one tick, not all those missed: a stalled loop must not start elections.
  const auto now = std::chrono::steady_clock::now();
  const auto next = ticker.expiry() + Milliseconds(tick_ms);
  ticker.expires_at(next < now ? now + Milliseconds(tick_ms) : next);
  ticker.async_wait([this](const asio::error_code& error) {
    if (error || closed) return;
    node->tick();
    const raft::Core& core = node->core();
    listeners->tick(core.leader().value != 0);
    terms->tick(core.leader(), core.term(), core.role() == raft::Role::leader);
    scheduling.tick();
    tick();
  });
}

void Server::State::every_second() {
  seconds.expires_after(second);
  seconds.async_wait([this](const asio::error_code& error) {
    if (error || closed) return;
    notify_watchdog();
    tell_status();
    if (formation && node->admitted()) formation->stop();
    if (tls && ++seconds_since_check >= certificate_check_s) {
      seconds_since_check = 0;
      if (tls->changed() || (discovery && discovery->certificates_changed())) reload(false);
      warn_of_expiry();
    }
    every_second();
  });
}

void Server::State::tell_status() {
  const raft::Core& core = node->core();
  const std::size_t voters = core.members().voters.size();
  std::string text;
  if (!node->initialized()) {
    text = "waiting to join a cluster";
  } else if (core.role() == raft::Role::leader) {
    text = "leader of " + std::to_string(voters) + " voters";
  } else if (core.leader().value == 0) {
    text = "waiting for a majority of " + std::to_string(voters) + " voters";
  } else {
    text = "following node " + hex_id(core.leader().value);
  }
  if (text == status_told) return;
  status_told = text;
  notify_status(text);
}

void Server::State::reload(bool asked) {
  if (!tls) {
    if (asked) log(LogLevel::info, "nothing to reload", {{"reason", std::string("no TLS")}});
    return;
  }
  if (asked) notify_reloading();
  if (const Status done = tls->reload(); !done) {
    log(LogLevel::error, "certificates not reloaded, the former ones stay",
        {{"reason", done.error().text}});
  } else {
    grpc_tls->update(tls->material());
    if (formation) formation->set_credentials(grpc_tls->channel_credentials());
    expiry_warned_days = 0;
    log(LogLevel::info, "certificates reloaded");
  }
  if (discovery) discovery->reload();
  if (asked) notify_ready();
}

void Server::State::warn_of_expiry() {
  const std::int64_t left_s = tls->material().expires_s - unix_now_s();
  for (const std::int64_t days : expiry_days_warned) {
    if (left_s > days * day_s) continue;
    if (expiry_warned_days == days) return;
    expiry_warned_days = days;
    log(LogLevel::warn, "the certificate expires soon",
        {{"file", options.tls.certificate},
         {"hours_left", std::max<std::int64_t>(left_s, 0) / 3600}});
    return;
  }
}

void Server::State::halt(bool clean, const Error& why) {
  if (clean) {
    log(LogLevel::info, "this node was removed from its cluster and stops", {{"reason", why.text}});
    return stop("removed from the cluster");
  }
  // Whatever is written from here on may contradict what was promised: no last words to anybody.
  log(LogLevel::error, "this node cannot go on", {{"reason", why.text}});
  notify_status(why.text);
  ::_exit(exit_failure);
}

// --- Stop.

void Server::State::stop(std::string_view why) {
  if (std::exchange(stopping, true)) return;
  log(LogLevel::info, "stopping", {{"reason", std::string(why)}});
  notify_stopping();
  api->set_serving(false);
  if (formation) formation->stop();
  if (discovery) {
    discovery->stop(stela_ms_max, [this] { hand_over(); });
  } else {
    hand_over();
  }
}

void Server::State::hand_over() {
  // The answer comes amid a turn of the node, which drain() may not end.
  node->resign(resign_ms_max, [this] { asio::post(loop, [this] { drain(); }); });
  patience.expires_after(Milliseconds(resign_ms_max) + Milliseconds(resign_ms_max) / 4);
  patience.async_wait([this](const asio::error_code& error) {
    if (!error) drain();
  });
}

void Server::State::drain() {
  if (std::exchange(draining, true)) return;
  patience.cancel();
  listeners->stop();
  node->stop();
  api->stop(drain_ms_max, [this] { leave_loop(); });
}

void Server::State::leave_loop() {
  peers->close();
  ticker.cancel();
  seconds.cancel();
  signals.cancel();
  loop.stop();
}

void Server::State::close_all() {
  stopping = true;
  closed = true;
  formation.reset();
  discovery.reset();
  api.reset();
  terms.reset();
  listeners.reset();
  history.reset();
  node.reset();
  peers.reset();
  // What the lanes answered finds nobody any more; what it holds of the store is let go here.
  loop.restart();
  loop.poll();
  store.reset();
}

// --- The life.

Server::Server(Options options) : state_(std::make_unique<State>(std::move(options))) {}

Server::~Server() = default;

int Server::run() {
  State& server = *state_;
  if (!server.load_tls() || !server.open_store()) return server.exit_code;
  std::signal(SIGPIPE, SIG_IGN);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) server.signals.add(signal);
  server.await_signals();
  server.choose_address();
  if (!server.make_discovery()) {
    server.close_all();
    return server.exit_code;
  }
  server.make_node();
  server.make_listeners();
  server.node->start();
  server.listeners->start();
  if (!server.listen()) {
    server.peers->close();
    server.close_all();
    return server.exit_code;
  }
  server.ticker.expires_after(Milliseconds(0));
  server.tick();
  server.every_second();
  server.become_member();
  notify_ready();
  server.loop.run();
  server.close_all();
  log(LogLevel::info, "stopped");
  return server.exit_code;
}

}  // namespace iris
