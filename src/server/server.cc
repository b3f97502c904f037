// The life of the process: its signals, its timers, and its stop in one written order.
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <utility>

#include "src/base/disk_wait.h"
#include "src/base/log.h"
#include "src/server/notify.h"
#include "src/server/service_status.h"
#include "src/server/state.h"

namespace iris {
namespace {

using Milliseconds = std::chrono::milliseconds;

constexpr Milliseconds second{1'000};

// The stop as a whole takes less than 2 s: these are its three waits.
constexpr std::uint32_t resign_ms_max = 600;
constexpr std::uint32_t drain_ms_max = 700;
constexpr Milliseconds stela_ms_max{300};

constexpr int certificate_check_s = 10;  // between two looks at the files

std::int64_t unix_now_s() {
  return std::chrono::duration_cast<std::chrono::seconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

}  // namespace

void Server::State::await_signals() {
  signals.async_wait([this](const asio::error_code& error, int signal) {
    if (error) return;
    if (signal == SIGHUP) {
      reload_asked();
    } else if (std::exchange(signalled, true)) {
      log(LogLevel::warn, "stopped at once", {{"reason", "a second signal"}});
      ::_exit(exit_failure);
    } else {
      stop(signal == SIGINT ? "interrupted" : "terminated");
    }
    await_signals();
  });
}

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
    leases->tick(core.leader(), core.term(), core.role() == raft::Role::leader);
    majority->tick();
    tell_readiness();
    scheduling.tick();
    tick();
  });
}

// A node is ready from the first leader that it knows as a member, until no leader has been known
// for longer than an election takes.
void Server::State::tell_readiness() {
  const bool led = node->core().leader().value != 0 || (ready && !majority->missing());
  const bool now_ready = led && node->admitted() && !stopping;
  if (std::exchange(ready, now_ready) != now_ready) api->set_ready(now_ready);
}

void Server::State::every_second() {
  seconds.expires_after(second);
  seconds.async_wait([this](const asio::error_code& error) {
    if (error || closed) return;
    tell_status();
    flush_log();
    if (formation && node->admitted()) formation->stop();
    check_certificates();
    every_second();
  });
}

void Server::State::feed_watchdog() {
  if (watchdog_period.count() == 0) return;
  notify_watchdog();
  watchdog.expires_after(watchdog_period);
  watchdog.async_wait([this](const asio::error_code& error) {
    if (!error && !closed) feed_watchdog();
  });
}

void Server::State::tell_status() {
  std::string fault = certificates ? certificates->fault() : std::string();
  if (fault.empty() && discovery) fault = discovery->certificate_fault();
  const std::string text = service_status(*node, *majority, join_way(), fault);
  if (text == status_told) return;
  status_told = text;
  notify_status(text);
}

// Whom a node that is in no cluster asks.
std::string Server::State::join_way() const {
  if (options.join.empty()) return discovery ? "Stela at " + options.stela : std::string();
  std::string way;
  for (const std::string& target : options.join) way += (way.empty() ? "" : ", ") + target;
  return way;
}

void Server::State::check_certificates() {
  if (!certificates || ++seconds_since_check < certificate_check_s) return;
  seconds_since_check = 0;
  read_certificates(false);
  certificates->warn_of_expiry(unix_now_s());
}

// Reads them where they changed, or where somebody asked. The files may be on a disk that answers
// late, or not at all.
void Server::State::read_certificates(bool asked) {
  if (reading_certificates) {
    reload_waits = reload_waits || asked;
    return;
  }
  struct Found {
    std::optional<TlsFiles> own;
    std::optional<TlsFiles> stela;
  };
  const auto found = std::make_shared<Found>();
  const TlsReader own = certificates->reader();
  const std::optional<TlsReader> stela = discovery ? discovery->reader() : std::nullopt;
  const Status begun = background.run(
      [found, own, stela, asked] {
        if (!asked && !own.changed() && !(stela && stela->changed())) return;
        found->own = own.read();
        if (stela) found->stela = stela->read();
      },
      [this, found, asked] {
        reading_certificates = false;
        if (closed) return;
        if (found->own) take_certificates(std::move(*found->own), std::move(found->stela));
        if (asked) reload_done();
        if (std::exchange(reload_waits, false)) read_certificates(true);
      });
  reading_certificates = begun.has_value();
  if (begun || !asked) return;
  log(LogLevel::error, "certificates not reloaded", {{"reason", begun.error().text}});
  reload_done();
}

void Server::State::take_certificates(TlsFiles own, std::optional<TlsFiles> stela) {
  if (certificates->take(std::move(own)) && formation) {
    formation->set_credentials(certificates->grpc().channel_credentials());
  }
  if (discovery && stela) discovery->take(std::move(*stela));
}

void Server::State::reload_asked() {
  if (!certificates) {
    log(LogLevel::info, "nothing to reload", {{"reason", std::string("no TLS")}});
    return;
  }
  notify_reloading();
  read_certificates(true);
}

// Where the reload failed the status says why; to systemd it is done all the same.
void Server::State::reload_done() {
  tell_status();
  notify_ready();
}

void Server::State::halt(bool clean, const Error& why) {
  if (clean) {
    log(LogLevel::info, "this node was removed from its cluster and stops", {{"reason", why.text}});
    return stop("removed from the cluster");
  }
  // An answer from here on might contradict an earlier promise: nobody gets one.
  log(LogLevel::error, "this node cannot go on", {{"reason", why.text}});
  notify_status(why.text);
  ::_exit(exit_code_of(why));
}

// --- Stop.

void Server::State::stop(std::string_view why) {
  if (std::exchange(stopping, true)) return;
  log(LogLevel::info, "stopping", {{"reason", std::string(why)}});
  notify_stopping();
  api->set_ready(false);
  api->set_alive(false);
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
  watchdog.cancel();
  signals.cancel();
  loop.stop();
}

void Server::State::close_all() {
  stopping = true;
  closed = true;
  formation.reset();
  discovery.reset();
  api.reset();
  leases.reset();
  majority.reset();
  listeners.reset();
  history.reset();
  node.reset();
  peers.reset();
  // Answers of the lanes that are still queued find no receiver; what they hold of the store is
  // released here.
  loop.restart();
  loop.poll();
  store.reset();
}

// --- The life.

Server::Server(Options options) : state_(std::make_unique<State>(std::move(options))) {}

Server::~Server() = default;

int Server::run() {
  State& server = *state_;
  if (!server.prepare_process() || !server.take_sockets() || !server.load_certificates() ||
      !server.open_store()) {
    return server.exit_code;
  }
  std::signal(SIGPIPE, SIG_IGN);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) server.signals.add(signal);
  server.await_signals();
  server.heap_trimmer.start();
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
  server.tell_status();
  notify_ready();
  {
    const LoopTurn turn;
    server.feed_watchdog();
    server.loop.run();
  }
  server.close_all();
  log(LogLevel::info, "stopped");
  return server.exit_code;
}

}  // namespace iris
