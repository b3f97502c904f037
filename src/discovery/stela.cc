#include "src/discovery/stela.h"

#include <arpa/inet.h>
#include <grpcpp/grpcpp.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <random>
#include <thread>
#include <utility>

#include "proto/stela.grpc.pb.h"
#include "raft/check.h"
#include "src/base/abort.h"
#include "src/discovery/held_stream.h"

namespace iris {
namespace {

using std::chrono::milliseconds;
using SteadyClock = std::chrono::steady_clock;

constexpr milliseconds call_timeout{2'000};
constexpr milliseconds backoff_min{100};
constexpr milliseconds backoff_max{1'000};
// A registration that lasted as long was a good one: what breaks then is tried again at once.
constexpr milliseconds settled{5'000};
// How often a registered node asks whether it still is. A stream says nothing of a Stela that was
// started anew behind a proxy, nor for minutes of one whose host is gone.
constexpr milliseconds look_every{1'000};
// The longest time until a node registers again: a look or a pause, a call, and one more pause.
static_assert(std::max(look_every, backoff_max) + call_timeout + backoff_min <
              Stela::known_again_max);
// So many registrations in a row that Stela takes and does not list are no accident.
constexpr int never_listed_min = 2;
// Servers written in Go hang up on clients that ping more often than every five minutes.
constexpr milliseconds keepalive{330'000};

// True: Stela itself answered, and any such error means that no service is registered. All other
// codes only say that Stela could not be asked.
bool is_answer(const grpc::Status& status) {
  switch (status.error_code()) {
    case grpc::StatusCode::OK:
    case grpc::StatusCode::UNKNOWN:  // what its versions answer for a name nobody registered
    case grpc::StatusCode::NOT_FOUND:
    case grpc::StatusCode::INVALID_ARGUMENT:
    case grpc::StatusCode::FAILED_PRECONDITION:
    case grpc::StatusCode::OUT_OF_RANGE:
      return true;
    default:
      return false;
  }
}

// True: no answer came, so Stela or the way to it may be gone.
bool is_silence(const grpc::Status& status) {
  return status.error_code() == grpc::StatusCode::UNAVAILABLE ||
         status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED;
}

stela::pb::ServiceMessage to_wire(const StelaService& service) {
  stela::pb::ServiceMessage message;
  message.set_name(service.name);
  message.set_hostname(service.hostname);
  message.set_ipv4(service.ipv4);
  message.set_ipv6(service.ipv6);
  message.set_port(service.port);
  return message;
}

std::vector<StelaService> from_wire(const stela::pb::DiscoverResponse& response) {
  std::vector<StelaService> services;
  for (const auto& message : response.services()) {
    if (message.port() < 1 || message.port() > 65535) continue;  // nobody can be reached there
    services.push_back({message.name(), message.hostname(), message.ipv4(), message.ipv6(),
                        static_cast<std::uint16_t>(message.port())});
  }
  return services;
}

// Stela's processes find each other's services, and their own, by multicast.
std::string never_listed_text(const grpc::Status& answer) {
  const bool loopback_only = Stela::own_ipv4_address() == "127.0.0.1";
  return "it took the registration of this node but does not list it" +
         (answer.ok() ? "" : " (it says: " + answer.error_message() + ")") +
         "; the multicast by which it finds services " +
         (loopback_only ? "cannot work here: this host has no network interface but lo"
                        : "seems not to work on its host") +
         "; -nostela does without Stela";
}

class Backoff {
 public:
  [[nodiscard]] milliseconds next() {
    longest_ = std::min(std::max(longest_ * 2, backoff_min), backoff_max);
    std::uniform_int_distribution<std::int64_t> spread(longest_.count() / 2, longest_.count());
    return milliseconds(spread(jitter_));
  }
  void reset() { longest_ = milliseconds(0); }

 private:
  milliseconds longest_{0};
  std::minstd_rand jitter_{std::random_device{}()};
};

}  // namespace

bool same_place(const StelaService& a, const StelaService& b) {
  const auto differ = [](const std::string& one, const std::string& other) {
    return !one.empty() && !other.empty() && one != other;
  };
  return a.port == b.port && !differ(a.hostname, b.hostname) && !differ(a.ipv4, b.ipv4) &&
         !differ(a.ipv6, b.ipv6);
}

struct Stela::State {
  using Stub = stela::pb::Stela::Stub;

  struct Question {
    std::string name;
    milliseconds patience;
    Found done;
    std::function<void(const Error&)> trouble;
  };
  struct Stop {
    milliseconds patience;
    std::function<void()> done;
  };
  struct Registered {
    stela::pb::RegisterRequest request;
    std::shared_ptr<Stub> stub;
  };

  State(StelaOptions given, Post post_function)
      : options(std::move(given)), post(std::move(post_function)) {
    if (options.own_ipv4.empty()) options.own_ipv4 = own_ipv4_address();
    asker = std::thread([this] { ask(); });
  }
  ~State() {
    end();
    asker.join();
    if (holder.joinable()) holder.join();
  }

  // For ever: what is asked, held, or said from now on ends at once.
  void end() {
    for (client::Abort* abort : {&asking, &leaving, &holding, &streaming}) abort->set();
    const std::lock_guard lock(mutex);
    ended = true;
    changed.notify_all();
  }

  // --- The asker: questions, and the farewell.
  void ask();
  void answer(const Question& question);
  void say_farewell(const Stop& stop);

  // --- The holder: the stream.
  void hold(const StelaService& service, const std::function<void(Status)>& told);
  [[nodiscard]] grpc::Status register_once(const StelaService& service,
                                           const std::function<void(Status)>& told);
  [[nodiscard]] grpc::Status watch(Stub& stub, HeldStream& stream, const StelaService& service);

  // A connection of its own, with the certificates of now, and without gRPC's back-off, which would
  // come on top of ours.
  [[nodiscard]] std::shared_ptr<Stub> connect();
  // Blocks for the time, or until `abort` is set. False: it is.
  [[nodiscard]] bool pause(const client::Abort& abort, milliseconds time) {
    std::unique_lock lock(mutex);
    return !changed.wait_for(lock, time, [&] { return abort.flag().load(); });
  }
  [[nodiscard]] Error error_of(const grpc::Status& status) const {
    return {Errc::unavailable, "Stela at " + options.address + ": " + status.error_message()};
  }
  // One unary call that `abort` can end.
  template <class Request, class Response>
  [[nodiscard]] static grpc::Status call(client::Abort& abort, milliseconds timeout, Stub& stub,
                                         grpc::Status (Stub::*method)(grpc::ClientContext*,
                                                                      const Request&, Response*),
                                         const Request& request, Response& response) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + timeout);
    if (!abort.begin(context)) return {grpc::StatusCode::CANCELLED, "stopped"};
    auto status = (stub.*method)(&context, request, &response);
    abort.end();
    return status;
  }

  StelaOptions options;  // the credentials under mutex
  Post post;
  client::Abort asking;            // of questions
  client::Abort leaving;           // of the farewell
  client::Abort holding;           // of what registers, and asks whether it still is
  client::Abort streaming;         // of the stream
  std::shared_ptr<Stub> asked_by;  // the asker's own
  int never_listed = 0;            // the holder's own: registrations in a row that had no effect

  std::mutex mutex;  // of what is below
  std::condition_variable changed;
  bool renewed = false;  // the credentials are newer than asked_by
  bool ended = false;
  std::optional<Question> question;
  std::optional<Stop> stop;
  std::optional<Registered> registered;  // as Stela knows it

  std::thread asker;
  std::thread holder;
};

std::shared_ptr<Stela::State::Stub> Stela::State::connect() {
  std::shared_ptr<grpc::ChannelCredentials> credentials;
  {
    const std::lock_guard lock(mutex);
    credentials = options.credentials;
  }
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);  // $http_proxy is for the web
  // How long one attempt to connect may take.
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, static_cast<int>(call_timeout.count()));
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, static_cast<int>(keepalive.count()));
  if (credentials) arguments.SetSslTargetNameOverride(options.server_name);
  return stela::pb::Stela::NewStub(grpc::CreateCustomChannel(
      options.address, credentials ? credentials : grpc::InsecureChannelCredentials(), arguments));
}

void Stela::State::ask() {
  while (true) {
    std::optional<Question> asked;
    std::optional<Stop> stopping;
    {
      std::unique_lock lock(mutex);
      changed.wait(lock, [&] { return ended || question || stop; });
      asked = std::exchange(question, std::nullopt);
      if (std::exchange(renewed, false)) asked_by.reset();
      stopping = std::exchange(stop, std::nullopt);
    }
    if (asked) answer(*asked);
    if (stopping) say_farewell(*stopping);
    if (!asked && !stopping) return;  // the end
  }
}

void Stela::State::answer(const Question& asked) {
  const auto start = SteadyClock::now();
  const bool endless = asked.patience.count() == 0;
  Backoff backoff;
  Error why{Errc::unavailable, "Stela was not asked any more"};
  while (true) {
    milliseconds left = call_timeout;
    if (!endless) {
      const auto gone = std::chrono::floor<milliseconds>(SteadyClock::now() - start);
      left = std::min(left, asked.patience - gone);
      if (left.count() <= 0) break;
    }
    stela::pb::DiscoverRequest request;
    request.set_service_name(asked.name);
    stela::pb::DiscoverResponse response;
    if (!asked_by) asked_by = connect();
    const auto status = call(asking, left, *asked_by, &Stub::Discover, request, response);
    if (is_answer(status)) {
      std::vector<StelaService> services;
      if (status.ok()) services = from_wire(response);
      post([done = asked.done, services = std::move(services)] { done(services); });
      return;
    }
    asked_by.reset();
    why = error_of(status);
    if (asked.trouble) post([trouble = asked.trouble, why] { trouble(why); });
    const milliseconds wait = endless ? backoff.next() : std::min(left, backoff.next());
    if (!pause(asking, wait)) break;
  }
  post([done = asked.done, why] { done(fail(why.code, why.text)); });
}

void Stela::State::say_farewell(const Stop& stopping) {
  std::optional<Registered> known;
  {
    const std::lock_guard lock(mutex);
    known = registered;
  }
  if (known) {
    stela::pb::RegisterResponse response;
    // Where it fails the end of the stream says the same.
    static_cast<void>(call(leaving, stopping.patience, *known->stub, &Stub::Deregister,
                           known->request, response));
  }
  holding.set();
  streaming.set();
  {
    const std::lock_guard lock(mutex);
    changed.notify_all();  // the holder may be pausing
  }
  post(stopping.done);
}

void Stela::State::hold(const StelaService& service, const std::function<void(Status)>& told) {
  Backoff backoff;
  while (!holding.flag().load()) {
    const auto start = SteadyClock::now();
    const auto status = register_once(service, told);
    {
      const std::lock_guard lock(mutex);
      registered.reset();
    }
    if (holding.flag().load()) return;
    const Error why = error_of(status);
    post([told, why] { told(fail(why.code, why.text)); });
    if (SteadyClock::now() - start > settled) backoff.reset();
    if (!pause(holding, backoff.next())) return;
  }
}

// From AddClient to the end of the stream; returns why it ended.
grpc::Status Stela::State::register_once(const StelaService& service,
                                         const std::function<void(Status)>& told) {
  const std::shared_ptr<Stub> stub = connect();
  stela::pb::AddClientRequest add;
  add.set_client_address(options.own_ipv4);
  stela::pb::AddClientResponse added;
  auto status = call(holding, call_timeout, *stub, &Stub::AddClient, add, added);
  if (!status.ok()) return status;

  stela::pb::RegisterRequest request;
  request.set_client_id(added.client_id());
  *request.mutable_service() = to_wire(service);

  stela::pb::ConnectRequest connecting;
  connecting.set_client_id(added.client_id());
  HeldStream stream(*stub, connecting);
  stela::pb::RegisterResponse response;
  status = call(holding, call_timeout, *stub, &Stub::Register, request, response);
  if (status.ok() && streaming.begin(stream.context())) {
    {
      const std::lock_guard lock(mutex);
      registered = {request, stub};
    }
    post([told] { told(Unit{}); });
    status = watch(*stub, stream, service);
    streaming.end();
  }
  auto end = stream.finish();
  if (!status.ok()) return status;
  if (end.ok()) return {grpc::StatusCode::UNAVAILABLE, "it ended the stream"};
  return end;
}

// Until the stream ends by itself (OK), Stela does not answer, or does not list this node.
grpc::Status Stela::State::watch(Stub& stub, HeldStream& stream, const StelaService& service) {
  stela::pb::DiscoverRequest request;
  request.set_service_name(service.name);
  bool was_listed = false;
  while (!stream.ended_within(look_every)) {
    stela::pb::DiscoverResponse response;
    auto status = call(holding, call_timeout, stub, &Stub::Discover, request, response);
    if (is_silence(status) || holding.flag().load()) return status;
    if (!is_answer(status)) continue;
    const auto listed = from_wire(response);
    if (std::any_of(listed.begin(), listed.end(),
                    [&](const StelaService& each) { return same_place(each, service); })) {
      was_listed = true;
      never_listed = 0;
      continue;
    }
    const bool as_ever = !was_listed && ++never_listed >= never_listed_min;
    return {grpc::StatusCode::NOT_FOUND,
            as_ever ? never_listed_text(status) : "it does not list this node any more"};
  }
  return grpc::Status::OK;
}

Stela::Stela(StelaOptions options, Post post)
    : state_(std::make_unique<State>(std::move(options), std::move(post))) {}

Stela::~Stela() = default;

void Stela::discover(std::string name, milliseconds patience, Found done,
                     std::function<void(const Error&)> trouble) {
  const std::lock_guard lock(state_->mutex);
  CHECK(!state_->question && !state_->stop);
  state_->question = {std::move(name), patience, std::move(done), std::move(trouble)};
  state_->changed.notify_all();
}

void Stela::keep_registered(StelaService service, std::function<void(Status)> changed) {
  CHECK(!state_->holder.joinable());
  state_->holder = std::thread([state = state_.get(), service = std::move(service),
                                changed = std::move(changed)] { state->hold(service, changed); });
}

void Stela::set_credentials(std::shared_ptr<grpc::ChannelCredentials> credentials) {
  const std::lock_guard lock(state_->mutex);
  state_->options.credentials = std::move(credentials);
  state_->renewed = true;
}

void Stela::stop(milliseconds patience, std::function<void()> done) {
  state_->asking.set();  // a question that is still open ends with Errc::unavailable
  const std::lock_guard lock(state_->mutex);
  CHECK(!state_->stop);
  state_->stop = {patience, std::move(done)};
  state_->changed.notify_all();
}

std::string Stela::own_ipv4_address() {
  std::string found = "127.0.0.1";
  ifaddrs* all = nullptr;
  if (::getifaddrs(&all) != 0) return found;
  for (const ifaddrs* one = all; one != nullptr; one = one->ifa_next) {
    if (one->ifa_addr == nullptr || one->ifa_addr->sa_family != AF_INET) continue;
    if ((one->ifa_flags & IFF_UP) == 0 || (one->ifa_flags & IFF_LOOPBACK) != 0) continue;
    const auto* address = reinterpret_cast<const sockaddr_in*>(one->ifa_addr);
    std::array<char, INET_ADDRSTRLEN> text{};
    if (::inet_ntop(AF_INET, &address->sin_addr, text.data(), text.size()) == nullptr) continue;
    found = text.data();
    break;
  }
  ::freeifaddrs(all);
  return found;
}

}  // namespace iris
