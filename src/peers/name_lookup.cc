#include "src/peers/name_lookup.h"

#include <netdb.h>

#include <asio/ip/basic_endpoint.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/post.hpp>
#include <cstring>
#include <deque>
#include <map>
#include <mutex>
#include <set>
#include <system_error>
#include <thread>
#include <utility>

namespace iris {
namespace {

NameLookup::Addresses ask_system(const std::string& host) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_ADDRCONFIG;
  addrinfo* found = nullptr;
  const int error = ::getaddrinfo(host.c_str(), nullptr, &hints, &found);
  if (error != 0) return fail(Errc::io, ::gai_strerror(error));
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> list(found, ::freeaddrinfo);
  std::vector<asio::ip::address> addresses;
  for (const addrinfo* each = found; each != nullptr; each = each->ai_next) {
    asio::ip::tcp::endpoint endpoint;
    if (each->ai_addrlen > endpoint.capacity()) continue;
    std::memcpy(endpoint.data(), each->ai_addr, each->ai_addrlen);
    addresses.push_back(endpoint.address());
  }
  return addresses;
}

}  // namespace

struct NameLookup::State : std::enable_shared_from_this<NameLookup::State> {
  State(asio::io_context& io, Resolve by) : loop(io), resolve(std::move(by)) {}

  struct Waiting {
    std::string host;
    Done done;
  };

  void begin(const std::string& host);
  void run(const std::string& host);
  void finish(const std::string& host, const Addresses& addresses);

  asio::io_context& loop;  // with `mutex` held, and while not `closed`, for threads
  const Resolve resolve;
  std::mutex mutex;
  bool closed = false;  // under mutex

  // --- Loop.
  std::map<std::uint64_t, Waiting> waiting;
  std::set<std::string> under_way;  // hosts that have a thread
  std::deque<std::string> queued;   // hosts that wait for one
  std::uint64_t begun = 0;
};

void NameLookup::State::begin(const std::string& host) {
  if (under_way.size() >= threads_max) return queued.push_back(host);
  under_way.insert(host);
  try {
    std::thread([self = shared_from_this(), host] { self->run(host); }).detach();
  } catch (const std::system_error& error) {
    asio::post(loop, [weak = weak_from_this(), host, why = error.code().message()] {
      if (const auto self = weak.lock()) self->finish(host, fail(Errc::io, "no thread: " + why));
    });
  }
}

// On a thread of its own.
void NameLookup::State::run(const std::string& host) {
  Addresses addresses = resolve(host);
  const std::lock_guard lock(mutex);
  if (closed) return;
  asio::post(loop, [weak = weak_from_this(), host, addresses = std::move(addresses)] {
    if (const auto self = weak.lock()) self->finish(host, addresses);
  });
}

void NameLookup::State::finish(const std::string& host, const Addresses& addresses) {
  under_way.erase(host);
  std::vector<Done> told;
  for (auto each = waiting.begin(); each != waiting.end();) {
    if (each->second.host != host) {
      ++each;
      continue;
    }
    told.push_back(std::move(each->second.done));
    each = waiting.erase(each);
  }
  while (!queued.empty() && under_way.size() < threads_max) {
    const std::string next = std::move(queued.front());
    queued.pop_front();
    begin(next);
  }
  for (const Done& done : told) done(addresses);
}

NameLookup::NameLookup(asio::io_context& loop, Resolve resolve)
    : state_(std::make_shared<State>(loop, resolve ? std::move(resolve) : ask_system)) {}

NameLookup::~NameLookup() {
  const std::lock_guard lock(state_->mutex);
  state_->closed = true;
  state_->waiting.clear();
}

std::uint64_t NameLookup::start(const std::string& host, Done done) {
  State& self = *state_;
  bool known = self.under_way.contains(host);
  for (const std::string& other : self.queued) known = known || other == host;
  self.waiting[++self.begun] = {host, std::move(done)};
  if (!known) self.begin(host);
  return self.begun;
}

void NameLookup::cancel(std::uint64_t number) { state_->waiting.erase(number); }

}  // namespace iris
