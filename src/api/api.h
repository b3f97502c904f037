// Api: the gRPC services on the clients' port: iris.pb.Iris, iris.pb.Cluster, health, reflection.
// Checks what clients send (limits.h), turns it into commands and reads of the node, and what comes
// of it into answers; decides nothing else. Which call means what: values.cc and its neighbours.
// Loop thread; gRPC's own thread hands over what is done (completion.h). Borrows loop, node,
// store and listeners. Never blocks, but in start().
#pragma once

#include <asio/io_context.hpp>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "raft/result.h"
#include "src/api/client_shares.h"
#include "src/api/limits.h"
#include "src/listeners/listeners.h"
#include "src/node/node.h"
#include "store/store.h"

namespace grpc {
class ServerCredentials;
}

namespace iris {

struct ApiOptions {
  std::string host;            // whose interface to listen on; empty: all
  std::uint16_t port = 0;      // 0: any free one (tests)
  std::vector<int> inherited;  // listening sockets of that port to take over; empty: open them
  Limits limits;
  std::shared_ptr<grpc::ServerCredentials> credentials;  // none: no TLS
  // Of the certificate that is served now, in seconds of Unix time; empty without TLS.
  std::function<std::int64_t()> certificate_expires_s;
  // What needs an operator besides the disk, in words; empty: nothing. May be none.
  std::function<std::string()> alarm;
  // What Status warns of: less free space than the node keeps back (NodeOptions). 0: never.
  std::uint64_t disk_reserve_bytes = 0;
  std::size_t connections_max = 10'000;             // -max-connections
  std::size_t connections_per_address_max = 5'000;  // -max-connections-per-address
  ClientShareLimits client_shares;
  // An answer that its client does not take for that long, up to twice as long, is broken off.
  std::uint32_t answer_stall_ms = 15'000;
};

class Api {
 public:
  Api(asio::io_context& loop, Node& node, store::Store& store, Listeners& listeners,
      ApiOptions options);
  // REQUIRES: never started, or stop() is done.
  ~Api();
  Api(const Api&) = delete;
  Api& operator=(const Api&) = delete;

  // Listens and takes calls; health says NOT_SERVING until told otherwise. Errc::io naming the
  // address that cannot be listened on.
  [[nodiscard]] Status start();
  [[nodiscard]] std::uint16_t port() const;
  // What health answers: for "", whether this process takes calls at all; for "iris.pb.Iris",
  // whether it can serve them, because it is a member that knows a leader.
  void set_alive(bool alive);
  void set_ready(bool ready);
  // Connections of clients that stand, about.
  [[nodiscard]] std::size_t connections() const;
  // Lists and backups under way, each of which holds a state of the data, and streams that are to
  // end once their client has taken what was written.
  [[nodiscard]] std::size_t open_answers() const;
  // Accepts no more connections, lets open calls be answered for at most drain_ms, then cuts all
  // connections. Calls that come meanwhile are answered too; no client is told CANCELLED.
  // `done`, posted, when all is at rest. REQUIRES: Node::stop() and Listeners::stop(), which answer
  // all that they were asked, and all that comes.
  void stop(std::uint32_t drain_ms, std::function<void()> done);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace iris
