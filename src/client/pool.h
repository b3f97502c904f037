// Pool: the nodes a client may talk to, and which of them to ask next. Any thread; a call waits on
// the thread that made it, there is no thread here. Owns one channel a node, all with connections
// of their own, dialled when first needed. Never sends a call of its own but the probe that finds
// out why a node cannot be reached.
//
// The choice: the node that answered last, else the connected ones in the order of the addresses.
// A node that refused a call or broke its connection is avoided for a jittered time that doubles
// each time. A node that fell silent still looks connected: it is asked only once no other node can
// be expected to connect soon.
#pragma once

#include <grpcpp/security/credentials.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <vector>

#include "src/client/client.h"
#include "src/client/proto/iris.grpc.pb.h"

namespace iris::client {

using Clock = std::chrono::steady_clock;

struct Node {
  std::string address;
  std::shared_ptr<grpc::Channel> channel;
  std::unique_ptr<pb::Iris::Stub> iris;
  std::unique_ptr<pb::Cluster::Stub> cluster;

  // Below: of the pool, under its mutex.
  std::uint32_t failures = 0;          // since it last answered
  Clock::time_point passed_over = {};  // until then others are preferred
  Clock::time_point silent = {};       // until then also those that are still connecting
  Clock::time_point heard = {};        // when it last answered, or was looked at
};

class Pool {
 public:
  // REQUIRES: 1 to Options::addresses_max addresses. `server_name` empty: the host's.
  Pool(const std::vector<std::string>& addresses,
       const std::shared_ptr<grpc::ChannelCredentials>& credentials,
       const std::string& server_name);

  // The node to ask next, connected; nullptr at `deadline`, or when `stop` is set, or as soon as
  // every node is known to refuse this client's TLS: why() tells which.
  // `only`: that node or none.
  [[nodiscard]] Node* pick(Clock::time_point deadline, const std::atomic<bool>* stop = nullptr,
                           Node* only = nullptr);
  void answered(Node& node);     // it is well: ask it again next time
  void failed(Node& node);       // pass it over for a while
  void fell_silent(Node& node);  // and give the others time to connect
  // Why none of the nodes (or not `only`) can be reached.
  [[nodiscard]] Error why(const Node* only = nullptr) const;

  [[nodiscard]] Node* find(const std::string& address);
  [[nodiscard]] std::size_t size() const { return nodes_.size(); }

 private:
  // The state of a node's connection at one look.
  enum class Look { ready, connecting, unreachable };
  [[nodiscard]] Look look(Node& node);
  [[nodiscard]] Node* choose(Clock::time_point now, std::size_t dialled, Node* only);
  void wait(Clock::time_point until, std::size_t dialled, Node* only);
  [[nodiscard]] bool is_quiet(Node& node);
  [[nodiscard]] bool passed_over(const Node& node, Clock::time_point now) const;
  void pass_over(Node& node);
  [[nodiscard]] bool refused_everywhere(Node* only) const;

  std::vector<std::unique_ptr<Node>> nodes_;  // never changes after construction
  mutable std::mutex mutex_;
  Node* current_ = nullptr;
  std::minstd_rand jitter_;
};

}  // namespace iris::client
