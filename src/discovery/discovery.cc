#include "src/discovery/discovery.h"

#include <unistd.h>

#include <algorithm>
#include <asio/io_context.hpp>
#include <asio/post.hpp>
#include <asio/steady_timer.hpp>
#include <utility>

#include "raft/check.h"
#include "src/base/address.h"
#include "src/base/log.h"
#include "src/base/log_limiter.h"
#include "src/net/grpc_tls.h"
#include "src/net/own_address.h"
#include "src/net/tls.h"

namespace iris {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds ask_every{1'000};
constexpr milliseconds log_pause{30'000};
static_assert(discovery_quiet > Stela::known_again_max);
static_assert(discovery_gap_max > 2 * ask_every && discovery_gap_max < discovery_quiet);

// The first address that is not this very machine's name for itself.
std::string ipv4_of(const std::string& name) {
  const std::vector<std::string> all = ipv4_addresses(name);
  const auto found = std::find_if_not(all.begin(), all.end(), is_loopback);
  if (found != all.end()) return *found;
  return is_loopback(name) ? "127.0.0.1" : Stela::own_ipv4_address();
}

// Who speaks IPv6 only where its operator said so has no other way; empty: nobody can dial it.
std::string host_of(const StelaService& service) {
  if (!service.ipv6.empty()) return service.ipv6;
  return service.ipv4.empty() ? service.hostname : service.ipv4;
}

}  // namespace

bool SteadyAnswer::holds(const std::set<std::string>& nodes, Clock::time_point now) {
  if (!last_ || now - *last_ > discovery_gap_max || nodes != nodes_) {
    nodes_ = nodes;
    since_ = now;
  }
  last_ = now;
  return now - since_ >= discovery_quiet;
}

StelaService own_service(const DiscoveryOptions& options) {
  StelaService own;
  own.name = Stela::service_name;
  own.port = options.port;
  const std::string& host = options.own_host;
  std::string hostname(256, '\0');
  if (::gethostname(hostname.data(), hostname.size() - 1) == 0) {
    own.hostname = hostname.substr(0, hostname.find('\0'));
  }
  if (!is_numeric_host(host)) {
    own.hostname = host;
    own.ipv4 = ipv4_of(host);
  } else if (host.find(':') == std::string::npos) {
    own.ipv4 = host;
  } else {
    own.ipv6 = host;
    const std::string other = Stela::own_ipv4_address();
    const bool everywhere = options.listen.empty() || is_wildcard(options.listen);
    if (everywhere && !is_loopback(other)) own.ipv4 = other;
  }
  if (own.hostname.empty()) own.hostname = host;  // Stela takes nobody without
  return own;
}

struct Discovery::State : std::enable_shared_from_this<Discovery::State> {
  State(asio::io_context& io, DiscoveryOptions given, DiscoveryHooks given_hooks)
      : loop(io),
        options(std::move(given)),
        hooks(std::move(given_hooks)),
        own(own_service(options)),
        timer(io) {}

  void start();
  void registered(const Status& done);
  void ask();
  void answered(const Result<std::vector<StelaService>>& found);
  void weigh(const std::vector<StelaService>& found);
  // At most once in a while, for it may stay so for days. True: said.
  bool complain(std::string_view event, const Error& why);

  asio::io_context& loop;
  const DiscoveryOptions options;
  const DiscoveryHooks hooks;
  const StelaService own;
  asio::steady_timer timer;
  std::unique_ptr<Tls> tls;
  std::string files_tried;        // as tls_fingerprint(); where `tls` is missing for their fault
  std::string certificate_fault;  // empty: none
  std::unique_ptr<Stela> stela;
  LogLimiter limiter{log_pause};
  SteadyAnswer steady;
  std::optional<std::set<std::string>> told;  // the others, as logged last
  bool news = true;  // that it is registered: the last said is that it is not, or nothing
  bool asking = false;
  bool stopping = false;
};

void Discovery::State::start() {
  if (stela || stopping || (options.tls && !tls)) return;
  StelaOptions settings;
  settings.address = options.stela;
  settings.server_name = options.server_name;
  settings.own_ipv4 = own.ipv4;
  if (tls) settings.credentials = GrpcTls(tls->material()).channel_credentials();
  stela = std::make_unique<Stela>(std::move(settings), [&io = loop](std::function<void()> job) {
    asio::post(io, std::move(job));
  });
  stela->keep_registered(own, [weak = weak_from_this()](const Status& done) {
    if (const auto self = weak.lock()) self->registered(done);
  });
}

bool Discovery::State::complain(std::string_view event, const Error& why) {
  const auto left_out = limiter.allow(std::string(event) + why.text, LogLimiter::Clock::now());
  if (!left_out) return false;
  log(LogLevel::warn, event, {{"reason", why.text}, {"left_out", *left_out}});
  return true;
}

void Discovery::State::registered(const Status& done) {
  if (stopping) return;
  if (!done) {
    steady.forget();
    if (complain("not registered at Stela", done.error())) news = true;
    return;
  }
  if (std::exchange(news, false)) {
    log(LogLevel::info, "registered at Stela", {{"address", options.stela}});
  }
  // Not before: of two nodes that start together, one at least sees the other.
  if (!std::exchange(asking, true)) ask();
}

void Discovery::State::ask() {
  if (stopping || !hooks.seeking()) return;
  stela->discover(
      Stela::service_name, milliseconds(0),
      [weak = weak_from_this()](const Result<std::vector<StelaService>>& found) {
        if (const auto self = weak.lock()) self->answered(found);
      },
      [weak = weak_from_this()](const Error& trouble) {
        const auto self = weak.lock();
        if (!self || self->stopping) return;
        self->steady.forget();
        self->complain("Stela cannot be asked; this node waits", trouble);
      });
}

void Discovery::State::answered(const Result<std::vector<StelaService>>& found) {
  if (stopping || !found || !hooks.seeking()) return;
  weigh(*found);
  timer.expires_after(ask_every);
  timer.async_wait([weak = weak_from_this()](const asio::error_code& error) {
    const auto self = weak.lock();
    if (self && !error) self->ask();
  });
}

void Discovery::State::weigh(const std::vector<StelaService>& found) {
  bool listed = false;
  std::set<std::string> others;  // two nodes may have said the same address, and are two
  std::vector<std::string> targets;
  for (const StelaService& service : found) {
    const std::string host = host_of(service);
    if (same_place(service, own)) {
      listed = true;
    } else if (!host.empty()) {
      const std::string address = address_text(host, service.port);
      others.insert(service.hostname + " " + address);
      if (std::find(targets.begin(), targets.end(), address) == targets.end()) {
        targets.push_back(address);
      }
    }
  }
  if (told != others) {
    told = others;
    log(LogLevel::info, "asked Stela for other nodes",
        {{"others", std::uint64_t{others.size()}},
         {"founds_with_them_after_ms", std::int64_t{discovery_quiet.count()}}});
  }
  // A Stela that does not list this node may have forgotten others too.
  if (!listed) steady.forget();
  const bool quiet = listed && steady.holds(others, SteadyAnswer::Clock::now());
  hooks.join(std::move(targets), quiet ? others.size() + 1 : 0);
}

// --- The face.

Discovery::Discovery(asio::io_context& loop, DiscoveryOptions options, DiscoveryHooks hooks)
    : state_(std::make_shared<State>(loop, std::move(options), std::move(hooks))) {
  CHECK(state_->hooks.seeking && state_->hooks.join);
}

Discovery::~Discovery() { state_->stopping = true; }

Status Discovery::load_certificates() {
  if (!state_->options.tls || state_->tls) return Unit{};
  state_->files_tried = tls_fingerprint(*state_->options.tls);
  auto loaded = Tls::load(*state_->options.tls, state_->options.server_name, {.client_only = true});
  state_->certificate_fault = loaded ? std::string() : loaded.error().text;
  if (!loaded) {
    return fail(loaded.error().code,
                loaded.error().text +
                    " (the files of -stelaCert, -stelaKey and -stelaCA; -nostela does without)");
  }
  state_->tls = std::move(*loaded);
  if (const auto& misfit = state_->tls->misfit()) {
    log(LogLevel::warn, "Stela will refuse this node's certificate", {{"reason", misfit->why}});
  }
  return Unit{};
}

void Discovery::start() { state_->start(); }

void Discovery::reload() {
  State& self = *state_;
  if (!self.options.tls || self.stopping) return;
  const bool first = !self.tls;
  const Status done = first ? load_certificates() : self.tls->reload();
  self.certificate_fault = done ? std::string() : done.error().text;
  if (!done) {
    log(LogLevel::error, "certificates towards Stela are not reloaded",
        {{"reason", done.error().text}});
  } else if (first) {
    self.start();
  } else {
    self.stela->set_credentials(GrpcTls(self.tls->material()).channel_credentials());
  }
}

bool Discovery::certificates_changed() const {
  const State& self = *state_;
  if (self.tls) return self.tls->changed();
  return self.options.tls && tls_fingerprint(*self.options.tls) != self.files_tried;
}

const std::string& Discovery::certificate_fault() const { return state_->certificate_fault; }

void Discovery::stop(milliseconds patience, std::function<void()> done) {
  state_->stopping = true;
  state_->timer.cancel();
  if (state_->stela) {
    state_->stela->stop(patience, std::move(done));
  } else {
    asio::post(state_->loop, std::move(done));
  }
}

}  // namespace iris
