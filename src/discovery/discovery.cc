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
constexpr milliseconds log_pause{60'000};
constexpr milliseconds farewell_max{2'000};
static_assert(discovery_quiet > Stela::known_again_max);
static_assert(discovery_gap_max > 2 * ask_every && discovery_gap_max < discovery_quiet);

// The first address that is not this very machine's name for itself.
std::string ipv4_of(const std::string& name) {
  const std::vector<std::string> all = ipv4_addresses(name);
  const auto found = std::find_if_not(all.begin(), all.end(), is_loopback);
  if (found != all.end()) return *found;
  return is_loopback(name) ? "127.0.0.1" : Stela::own_ipv4_address();
}

// The host by which a service is dialled. A node registers an IPv6 address only where its operator
// gave it one, so that comes first. Empty: the service cannot be dialled.
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
        timer(io) {
    if (options.tls) reader = {*options.tls, options.server_name, {.client_only = true}, ""};
  }

  void start();
  // --- Each second.
  void turn();
  void ask();
  void answered(const Result<std::vector<StelaService>>& found);
  void weigh(const std::vector<StelaService>& found);

  // --- The registration.
  void register_or_not();
  void withdraw();
  void registered(const Status& done);

  [[nodiscard]] std::unique_ptr<Stela> client() const;
  void use(const std::shared_ptr<grpc::ChannelCredentials>& credentials) const;
  Status use_files(TlsFiles files);
  // Logs at most once in log_pause: the trouble may last for days. True: it was logged.
  bool complain(std::string_view event, const Error& why);

  asio::io_context& loop;
  const DiscoveryOptions options;
  const DiscoveryHooks hooks;
  const StelaService own;
  asio::steady_timer timer;
  std::unique_ptr<Tls> tls;
  std::unique_ptr<Stela> asker;
  std::unique_ptr<Stela> registrar;  // while this node is to be registered
  std::unique_ptr<Stela> leaving;    // a former registrar that takes its leave
  std::uint64_t registrars = 0;      // made so far
  std::optional<TlsReader> reader;   // none without TLS
  std::string certificate_fault;     // empty: none
  LogLimiter limiter{log_pause};
  SteadyAnswer steady;
  std::vector<std::string> targets;           // of the last answer
  std::optional<std::set<std::string>> told;  // the others, as logged last
  bool among_its_like = false;  // no other node was listed, or all were found to be empty
  bool listed_there = false;    // the registrar's last word is that it is registered
  bool news = true;  // that it is registered: the last said is that it is not, or nothing
  bool asking = false;
  bool stopping = false;
};

std::unique_ptr<Stela> Discovery::State::client() const {
  StelaOptions settings;
  settings.address = options.stela;
  settings.server_name = options.server_name;
  settings.own_ipv4 = own.ipv4;
  if (tls) settings.credentials = GrpcTls(tls->material()).channel_credentials();
  return std::make_unique<Stela>(std::move(settings), [&io = loop](std::function<void()> job) {
    asio::post(io, std::move(job));
  });
}

void Discovery::State::use(const std::shared_ptr<grpc::ChannelCredentials>& credentials) const {
  asker->set_credentials(credentials);
  if (registrar) registrar->set_credentials(credentials);
}

Status Discovery::State::use_files(TlsFiles files) {
  reader->fingerprint = files.fingerprint;
  if (tls) {
    const Status done = tls->take(std::move(files));
    certificate_fault = done ? std::string() : done.error().text;
    return done;
  }
  auto loaded = Tls::make(*reader, std::move(files));
  certificate_fault = loaded ? std::string() : loaded.error().text;
  if (!loaded) {
    return fail(loaded.error().code,
                loaded.error().text +
                    " (the files of -stelaCert, -stelaKey and -stelaCA; -nostela does without)");
  }
  tls = std::move(*loaded);
  if (const auto& misfit = tls->misfit()) {
    log(LogLevel::warn, "Stela will refuse this node's certificate", {{"reason", misfit->why}});
  }
  return Unit{};
}

void Discovery::State::start() {
  if (asker || stopping || (options.tls && !tls)) return;
  asker = client();
  turn();
}

void Discovery::State::turn() {
  if (stopping) return;
  register_or_not();
  ask();
  timer.expires_after(ask_every);
  timer.async_wait([weak = weak_from_this()](const asio::error_code& error) {
    const auto self = weak.lock();
    if (self && !error) self->turn();
  });
}

void Discovery::State::register_or_not() {
  if (!hooks.serves() && !among_its_like) return withdraw();
  if (registrar || leaving) return;
  registrar = client();
  registrar->keep_registered(own,
                             [weak = weak_from_this(), number = ++registrars](const Status& done) {
                               const auto self = weak.lock();
                               if (self && self->registrar && self->registrars == number)
                                 self->registered(done);
                             });
}

void Discovery::State::withdraw() {
  if (!registrar) return;
  log(LogLevel::info, "not registered at Stela while this node cannot serve",
      {{"address", options.stela}});
  leaving = std::move(registrar);
  listed_there = false;
  news = true;
  steady.forget();
  leaving->stop(farewell_max, [weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->leaving.reset();
  });
}

void Discovery::State::registered(const Status& done) {
  if (stopping) return;
  listed_there = done.has_value();
  if (!done) {
    steady.forget();
    if (complain("not registered at Stela", done.error())) news = true;
    return;
  }
  if (std::exchange(news, false)) {
    log(LogLevel::info, "registered at Stela", {{"address", options.stela}});
  }
  // Of two nodes that start together, one at least sees the other now.
  ask();
}

bool Discovery::State::complain(std::string_view event, const Error& why) {
  const auto left_out = limiter.allow(std::string(event) + why.text, LogLimiter::Clock::now());
  if (!left_out) return false;
  log(LogLevel::warn, event, {{"reason", why.text}, {"left_out", *left_out}});
  return true;
}

void Discovery::State::ask() {
  if (stopping || asking || !hooks.seeking()) return;
  asking = true;
  asker->discover(
      Stela::service_name, milliseconds(0),
      [weak = weak_from_this()](const Result<std::vector<StelaService>>& found) {
        if (const auto self = weak.lock()) self->answered(found);
      },
      [weak = weak_from_this()](const Error& trouble) {
        const auto self = weak.lock();
        if (!self || self->stopping) return;
        self->steady.forget();
        self->complain(
            "this node waits for Stela and serves nothing (-stela says where it is, -nostela does "
            "without)",
            trouble);
      });
}

void Discovery::State::answered(const Result<std::vector<StelaService>>& found) {
  asking = false;
  if (stopping || !found || !hooks.seeking()) return;
  weigh(*found);
  register_or_not();
}

void Discovery::State::weigh(const std::vector<StelaService>& found) {
  bool listed = false;
  std::set<std::string> others;  // two nodes may have said the same address, and are two
  targets.clear();
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
  if (others.empty()) among_its_like = true;
  // A Stela that does not list this node may have forgotten others too; and a node that is not
  // registered is not seen by those that count the nodes that found a cluster.
  const bool seen = listed && listed_there;
  if (!seen) steady.forget();
  const bool quiet = seen && steady.holds(others, SteadyAnswer::Clock::now());
  hooks.join(targets, quiet ? others.size() + 1 : 0);
}

// --- The public class.

Discovery::Discovery(asio::io_context& loop, DiscoveryOptions options, DiscoveryHooks hooks)
    : state_(std::make_shared<State>(loop, std::move(options), std::move(hooks))) {
  CHECK(state_->hooks.serves && state_->hooks.seeking && state_->hooks.join);
}

Discovery::~Discovery() { state_->stopping = true; }

Status Discovery::load_certificates() {
  State& self = *state_;
  return self.reader && !self.tls ? self.use_files(self.reader->read()) : Status(Unit{});
}

void Discovery::start() { state_->start(); }

void Discovery::looked(const std::vector<std::string>& targets, Neighbours found) {
  State& self = *state_;
  if (self.stopping || !self.asker || !self.hooks.seeking() || targets != self.targets) return;
  if (found == Neighbours::unknown) return;
  self.among_its_like = found == Neighbours::empty;
  // Formation must stop counting this node before other nodes do.
  if (found == Neighbours::unjoinable) self.hooks.join(targets, 0);
  self.register_or_not();
}

const std::optional<TlsReader>& Discovery::reader() const { return state_->reader; }

void Discovery::take(TlsFiles files) {
  State& self = *state_;
  if (!self.reader || self.stopping) return;
  const bool first = !self.tls;
  const Status done = self.use_files(std::move(files));
  if (!done) {
    log(LogLevel::error, "certificates towards Stela are not reloaded",
        {{"reason", done.error().text}});
  } else if (first) {
    self.start();
  } else {
    self.use(GrpcTls(self.tls->material()).channel_credentials());
  }
}

const std::string& Discovery::certificate_fault() const { return state_->certificate_fault; }

void Discovery::stop(milliseconds patience, std::function<void()> done) {
  state_->stopping = true;
  state_->timer.cancel();
  if (state_->registrar) {
    state_->registrar->stop(patience, std::move(done));
  } else {
    asio::post(state_->loop, std::move(done));
  }
}

}  // namespace iris
