// Discovery: this node at Stela. Keeps it registered there while it serves, and while it belongs to
// no cluster asks again and again which nodes there are: those to join, and how many found a
// cluster where there is none. A client that asks Stela shall find nodes that serve. A node without
// a cluster is registered only where it waits among its like, all of which found one together; not
// beside a node that serves and cannot be joined, as one of 2017 or one whose certificates are of
// another authority. Loop thread. Owns the clients of Stela and the certificates towards it. Never
// founds anything itself: that is for Formation, which asks the others first. Its constructor
// resolves the node's own name, which may block: it is for the time before the loop runs.
//
// A Stela that was restarted knows no member until each has registered again. So no node founds a
// cluster before the answer has stayed the same for discovery_quiet, which is longer than that
// takes.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "raft/result.h"
#include "src/discovery/formation.h"
#include "src/discovery/stela.h"
#include "src/net/tls.h"

namespace asio {
class io_context;
}  // namespace asio

namespace iris {

inline constexpr std::chrono::milliseconds discovery_quiet{5'000};
// A node that did not ask for so long has missed answers: the quiet time begins anew.
inline constexpr std::chrono::milliseconds discovery_gap_max{4'000};

// The answers of Stela over time: have they stayed the same for long enough?
class SteadyAnswer {
 public:
  using Clock = std::chrono::steady_clock;
  // True: these are the nodes that it has answered for discovery_quiet at least.
  [[nodiscard]] bool holds(const std::set<std::string>& nodes, Clock::time_point now);
  // The next answer is the first.
  void forget() { last_.reset(); }

 private:
  std::set<std::string> nodes_;
  Clock::time_point since_;
  std::optional<Clock::time_point> last_;
};

struct DiscoveryOptions {
  std::string stela;            // host:port
  std::string server_name;      // in Stela's certificate
  std::optional<TlsPaths> tls;  // none: no TLS
  std::string own_host;         // by which others reach this node
  std::string listen;           // -listen
  std::uint16_t port = 0;       // gRPC
};

struct DiscoveryHooks {
  // Does this node belong to a cluster? Then it is registered.
  std::function<bool()> serves;
  // Does this node belong to no cluster, and go by what Stela says?
  std::function<bool()> seeking;
  // gRPC addresses of the others; how many empty nodes found a cluster together, 0: none yet.
  std::function<void(std::vector<std::string> targets, std::size_t expect)> join;
};

// The entry that a node registers. It has an IPv4 address where there is one, also where
// `options.own_host` is a name or an IPv6 address: clients of 2017 dial nothing else.
[[nodiscard]] StelaService own_service(const DiscoveryOptions& options);

class Discovery {
 public:
  Discovery(asio::io_context& loop, DiscoveryOptions options, DiscoveryHooks hooks);
  ~Discovery();
  Discovery(const Discovery&) = delete;
  Discovery& operator=(const Discovery&) = delete;

  // For the time before the loop runs. Errc::invalid_argument naming the file and the flags:
  // nothing happens until take() gets better ones.
  [[nodiscard]] Status load_certificates();
  void start();
  // The result of a round of Formation over these targets.
  void looked(const std::vector<std::string>& targets, Neighbours found);
  // For reading the certificates again, away from the loop; none without TLS.
  [[nodiscard]] const std::optional<TlsReader>& reader() const;
  // What was read; where it is no good, says so and goes on with the former ones.
  void take(TlsFiles files);
  // Why the files read last are not in use; empty: they are.
  [[nodiscard]] const std::string& certificate_fault() const;
  // Deregisters, within `patience`. `done`, posted, exactly once; no hook is called any more.
  void stop(std::chrono::milliseconds patience, std::function<void()> done);

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace iris
