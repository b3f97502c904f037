// The wiring of one node: its parts, the order in which they are made, and the hooks that connect
// them. The parts themselves are in their own folders.
#include <sys/random.h>

#include <algorithm>
#include <chrono>
#include <optional>

#include "raft/members.h"
#include "src/base/address.h"
#include "src/base/log.h"
#include "src/base/version.h"
#include "src/net/own_address.h"
#include "src/peers/wire.h"
#include "src/server/start_extension.h"
#include "src/server/state.h"
#include "store/rocks.h"

namespace iris {
namespace {

constexpr std::uint32_t tick_ms_max = 10;
// A disk may be silent for so long in a recovery before the service manager gives up.
constexpr std::chrono::seconds start_extended_by{60};
constexpr std::uint64_t own_call_ms_max = 5'000;  // calls this node makes of itself

std::uint64_t random_number() {
  std::uint64_t number = 0;
  CHECK(::getrandom(&number, sizeof number, 0) == sizeof number);
  return number;
}

raft::Members latest_members(const raft::Recovered& recovered) {
  return raft::latest_members(recovered.floor, recovered.entries).members;
}

}  // namespace

bool Server::State::refuse(int code, const std::string& text) {
  log(LogLevel::error, "cannot start", {{"reason", text}});
  notify_status("cannot start: " + text);
  exit_code = code;
  return false;
}

bool Server::State::prepare_process() {
  const std::uint64_t former = descriptor_budget().limit;
  descriptors = options.no_tuning ? descriptor_budget() : raise_descriptor_limit();
  const std::string limit = std::to_string(descriptors.limit);
  if (descriptors.limit < DescriptorBudget::limit_min) {
    return refuse(exit_failure, "this process may open " + limit + " files and connections, and " +
                                    std::to_string(DescriptorBudget::limit_min) +
                                    " are needed (ulimit -n, LimitNOFILE of a unit)");
  }
  log(LogLevel::info, "file descriptors",
      {{"limit", descriptors.limit},
       {"limit_before", former},
       {"for_store_and_peers", descriptors.reserve()},
       {"for_clients", descriptors.clients()}});
  return true;
}

bool Server::State::take_sockets() {
  auto taken = take_inherited_sockets(options.port);
  if (!taken) return refuse(exit_config, taken.error().text);
  sockets = std::move(*taken);
  return true;
}

bool Server::State::load_certificates() {
  if (options.insecure) return true;
  auto loaded =
      Certificates::load(options.tls, options.server_name, {.common_names = options.common_names});
  if (!loaded) {
    return refuse(exit_config, loaded.error().text +
                                   " (the files of -cert, -key and -ca; -insecure does without)");
  }
  certificates = std::move(*loaded);
  return true;
}

bool Server::State::open_store() {
  store::RocksOptions rocks;
  rocks.path = options.raft_dir;
  rocks.post = [this](std::function<void()> job) { post(std::move(job)); };
  // Growth is refused first; RocksDB's background work may use half of the reserve.
  store::fit_to_reserve(rocks, options.disk_reserve_bytes);
  rocks.data_files_open_max = static_cast<int>(descriptors.data_files());
  rocks.log_files_open_max = static_cast<int>(descriptors.log_files());
  rocks.keep_priorities = options.no_tuning;
  rocks.level_max = feature_level;
  const StartExtension extension(
      {}, {.work = work_of_process, .extend = [this](std::chrono::seconds since) {
             notify_extend_timeout(start_extended_by);
             notify_status("recovering the data in " + options.raft_dir +
                           (since.count() == 0
                                ? std::string()
                                : ", for " + std::to_string(since.count()) + " s so far"));
           }});
  auto opened = store::open_rocks(std::move(rocks));
  if (!opened) return refuse(exit_code_of(opened.error()), opened.error().text);
  store = std::move(*opened);
  self = store->recovered().raft.self;
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
          .serves = [this] { return node->admitted(); },
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
  log(LogLevel::error, "not at Stela before its certificates are better ones",
      {{"reason", loaded.error().text}});
  return true;
}

void Server::State::make_node() {
  peers = std::make_unique<Peers>(
      loop,
      PeersOptions{.self = self,
                   .listen = options.listen,
                   .port = static_cast<std::uint16_t>(options.port + 1),
                   .inherited = sockets.peers,
                   .handshakes_max = descriptors.handshakes(),
                   .handshakes_per_address_max = descriptors.handshakes_per_address(),
                   .strangers_max = descriptors.strangers(),
                   .probes_max = descriptors.probes()},
      certificates ? &certificates->tls() : nullptr,
      PeersHooks{.identity = [this] { return node->identity(); },
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
  CHECK(settings.raft.entry_bytes_max <= wire::command_bytes_max);  // else it reaches no peer
  settings.address = address;
  settings.log_bytes_max = options.log_bytes_max;
  settings.snapshot_bytes_per_second = options.snapshot_bytes_per_second;
  settings.disk_reserve_bytes = options.disk_reserve_bytes;
  settings.state_check_interval_ms =
      static_cast<std::uint64_t>(options.state_check_interval.count());
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
    leases->on_applied(entry, outcome);
  };
  hooks.on_installed = [this](raft::Index index) { listeners->on_installed(index); };
  hooks.log_kept = [this]() -> std::optional<raft::Index> {
    return listeners ? listeners->keeps_log_after() : std::nullopt;
  };
  hooks.on_trimmed = [this](raft::Index floor) { listeners->on_trimmed(floor); };
  hooks.on_sessions_served = [this](raft::NodeId from, const SessionsServed& served) {
    leases->on_told(from, served);
  };
  hooks.on_halt = [this](bool clean, const Error& why) { halt(clean, why); };
  node = std::make_unique<Node>(std::move(settings), *store, *peers, std::move(hooks));
  history = std::make_unique<NodeHistory>(*node);
}

void Server::State::make_listeners() {
  ListenersOptions settings;
  settings.tick_ms = tick_ms;
  settings.buffer_bytes = options.listener_buffer_bytes;
  settings.queued_bytes_max = options.listeners_memory_bytes;
  settings.listeners_max = options.listeners_max;
  settings.states_max = options.states_max;
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
  hooks.opened = [this](const std::string& session) { leases->opened(session); };
  hooks.closed = [this](const std::string& session) {
    if (leases) leases->closed(session);
  };
  listeners = std::make_unique<Listeners>(settings, *store, *history, std::move(hooks));

  LeasesOptions times;
  times.tick_ms = tick_ms;
  times.session_ttl_ms = static_cast<std::uint64_t>(options.session_ttl.count());
  times.life = random_number() | 1;
  LeasesHooks calls;
  calls.propose = [this](ExpireSessions command) {
    node->submit(std::move(command), own_call_ms_max, [](const Result<Outcome>&) {});
  };
  calls.send = [this](raft::NodeId to, SessionsServed message) {
    peers->send(to, std::move(message));
  };
  calls.members = [this]() -> const raft::Members& { return node->core().members(); };
  leases = std::make_unique<Leases>(times, *store, std::move(calls));

  majority = std::make_unique<MajorityWatch>(
      MajorityOptions{.tick_ms = tick_ms,
                      .patience_ms = options.election_ms,
                      .start_patience_ms = options.election_ms * 4},
      MajorityHooks{
          .has_leader = [this] { return node->core().leader().value != 0; },
          .members = [this] { return node->core().members(); },
          .reaches = [this](raft::NodeId id) { return id == self || peers->connected(id); }});
}

bool Server::State::listen() {
  ApiOptions settings;
  settings.host = options.listen;
  settings.port = static_cast<std::uint16_t>(options.port);
  settings.inherited = sockets.clients;
  settings.limits = options.limits;
  settings.disk_reserve_bytes = options.disk_reserve_bytes;
  settings.connections_max =
      std::min(std::size_t{options.connections_max}, std::size_t{descriptors.clients()});
  settings.connections_per_address_max =
      std::min(std::size_t{options.connections_per_address_max}, settings.connections_max);
  settings.client_shares.total_answer_bytes_max = options.client_memory_bytes;
  settings.client_shares.answer_bytes_max = options.client_memory_bytes / 4;
  settings.alarm = [this] { return majority->status(); };
  if (certificates) {
    settings.credentials = certificates->grpc().server_credentials();
    settings.certificate_expires_s = [this] { return certificates->tls().material().expires_s; };
  }
  api = std::make_unique<Api>(loop, *node, *store, *listeners, std::move(settings));
  if (const Status can = peers->listen(); !can) return refuse(exit_failure, can.error().text);
  if (const Status can = api->start(); !can) return refuse(exit_failure, can.error().text);
  api->set_alive(true);
  log(LogLevel::info, "serving",
      {{"version", std::string(version)},
       {"id", hex_id(self.value)},
       {"port", std::uint64_t{options.port}},
       {"raft_address", address},
       {"tls", !options.insecure},
       {"sockets_of_systemd", !sockets.empty()},
       {"raftdir", options.raft_dir}});
  const bool beyond = sockets.empty() ? !is_loopback(options.listen) : sockets.beyond_loopback;
  if (options.insecure && beyond) {
    log(LogLevel::warn, "anybody who reaches this host can read and write: no TLS (-insecure)");
  }
  return true;
}

// Data on disk wins: -join and discovery are for a node that belongs to no cluster.
void Server::State::become_member() {
  if (discovery) discovery->start();
  if (node->admitted()) {
    if (!options.join.empty()) {
      log(LogLevel::info, "the raft folder holds a member's data already, so -join is not used",
          {{"raftdir", options.raft_dir}, {"cluster", hex_id(node->cluster().value)}});
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
    settings.self = self;
    settings.raft_address = address;
    settings.server_name = options.server_name;
    if (options.join.empty()) settings.counted_by = "Stela";
    if (certificates) settings.credentials = certificates->grpc().channel_credentials();
    formation = std::make_unique<Formation>(
        std::move(settings),
        FormationHooks{.post = [this](std::function<void()> job) { post(std::move(job)); },
                       .found =
                           [this] {
                             if (!stopping && !node->initialized()) node->bootstrap();
                           },
                       .looked =
                           [this](const std::vector<std::string>& targets_seen, Neighbours found) {
                             if (discovery) discovery->looked(targets_seen, found);
                           }});
  }
  // One that was adopted waits, or asks again; it founds nothing any more.
  formation->set_targets(std::move(targets), node->initialized() ? 0 : expect);
}

}  // namespace iris
