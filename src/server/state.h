// Server::State: the parts of one node and the loop that they share. wiring.cc makes them,
// server.cc runs and stops them; nobody else includes this file. Loop thread, all of it. The order
// of the members is the order in which they are made.
#pragma once

#include <asio/io_context.hpp>
#include <asio/post.hpp>
#include <asio/signal_set.hpp>
#include <asio/steady_timer.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "src/api/api.h"
#include "src/base/descriptors.h"
#include "src/base/scheduling.h"
#include "src/discovery/discovery.h"
#include "src/discovery/formation.h"
#include "src/listeners/leases.h"
#include "src/listeners/listeners.h"
#include "src/net/background.h"
#include "src/net/inherited_sockets.h"
#include "src/node/node.h"
#include "src/peers/peers.h"
#include "src/server/certificates.h"
#include "src/server/heap_trimmer.h"
#include "src/server/majority_watch.h"
#include "src/server/node_history.h"
#include "src/server/notify.h"
#include "src/server/server.h"
#include "store/store.h"

namespace iris {

struct Server::State {
  explicit State(Options given) : options(std::move(given)), scheduling(!options.no_tuning) {}

  // --- Start, in this order. False: said why, exit_code is set.
  bool prepare_process();
  bool take_sockets();
  bool load_certificates();
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
  void tell_readiness();
  void every_second();
  void feed_watchdog();
  void tell_status();
  [[nodiscard]] std::string join_way() const;
  void check_certificates();
  void read_certificates(bool asked);
  void take_certificates(TlsFiles own, std::optional<TlsFiles> stela);
  void reload_asked();
  void reload_done();
  void halt(bool clean, const Error& why);

  // --- Stop, in this order.
  void stop(std::string_view why);
  void hand_over();
  void drain();
  void leave_loop();
  void close_all();

  bool refuse(int code, const std::string& text);
  void post(std::function<void()> job) { asio::post(loop, std::move(job)); }

  const Options options;
  DescriptorBudget descriptors;
  Scheduling scheduling;
  HeapTrimmer heap_trimmer;
  int exit_code = exit_ok;
  asio::io_context loop{1};
  asio::steady_timer ticker{loop};
  asio::steady_timer seconds{loop};
  asio::steady_timer patience{loop};
  asio::steady_timer watchdog{loop};
  const std::chrono::microseconds watchdog_period{watchdog_interval()};
  asio::signal_set signals{loop};
  Background background{loop};
  std::uint32_t tick_ms = 0;
  raft::NodeId self;
  InheritedSockets sockets;  // of systemd, for both ports
  std::string address;       // own raft address

  std::unique_ptr<Certificates> certificates;  // none with -insecure
  std::unique_ptr<store::Store> store;
  std::unique_ptr<Peers> peers;
  std::unique_ptr<Node> node;
  std::unique_ptr<NodeHistory> history;
  std::unique_ptr<Listeners> listeners;
  std::unique_ptr<Leases> leases;
  std::unique_ptr<MajorityWatch> majority;
  std::unique_ptr<Api> api;
  std::unique_ptr<Formation> formation;
  std::unique_ptr<Discovery> discovery;

  bool flush_scheduled = false;
  bool pump_scheduled = false;
  bool ready = false;  // as health tells it
  bool stopping = false;
  bool signalled = false;  // told to stop, which it may have been doing already
  bool draining = false;
  // A timer that expired before it was cancelled still completes: after this it does nothing.
  bool closed = false;
  std::string status_told;
  int seconds_since_check = 0;
  bool reading_certificates = false;
  bool reload_waits = false;  // asked for while an earlier reading was under way
};

}  // namespace iris
