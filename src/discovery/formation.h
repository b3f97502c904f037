// Formation: how a node without data comes into a cluster. It asks the nodes it was told of, one
// round after the other, for as long as it takes: a member of a cluster is asked to admit this
// node; where there is no member anywhere, and it was allowed, the empty nodes agree on who founds
// one. Owns one thread, that waits for gRPC; what it finds out is posted to the loop. A target that
// cannot be reached is never a fatal error, and never counts as an empty one.
//
// Founding (-bootstrap-expect, discovery): a node founds a cluster when every node it knows of has
// answered that it belongs to no cluster and is about to found none, they are as many as expected,
// this one has the least id among them, and a second round gets the same answers. All see the same
// ids, so at most one founds; the others find a member in a later round, and join it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "raft/types.h"

namespace grpc {
class ChannelCredentials;
}

namespace iris {

struct FormationOptions {
  raft::NodeId self;
  std::string raft_address;                               // own, as the members shall dial it
  std::shared_ptr<grpc::ChannelCredentials> credentials;  // none: no TLS
  std::string server_name;                                // with TLS: name in their certificates
  std::string counted_by = "-bootstrap-expect";           // in the log: who says how many found
  std::uint32_t round_ms_min = 200;  // between rounds; doubles, with jitter, up to
  std::uint32_t round_ms_max = 5'000;
  std::uint32_t founding_round_ms_max = 1'000;  // the same while empty nodes wait for each other
  std::uint32_t probe_ms_max = 2'000;           // a target answers within that
  std::uint32_t join_ms_max = 10'000;           // the leader dials this node before it admits it
};

// The result of a round: may a node without a cluster wait among these targets?
enum class Neighbours {
  empty,       // all answer, and belong to no cluster either
  unknown,     // some say nothing yet
  unjoinable,  // one serves, and this node cannot join it
};

struct FormationHooks {
  // Runs what it is given on the loop.
  std::function<void(std::function<void()>)> post;
  // Posted, once: found a cluster now. Nothing more is done.
  std::function<void()> found;
  // Posted after each round in which no target admitted this node. May be empty.
  std::function<void(std::vector<std::string> targets, Neighbours)> looked = {};
};

class Formation {
 public:
  Formation(FormationOptions options, FormationHooks hooks);
  // Waits for the thread, after stop() for no longer than a cancelled call takes.
  ~Formation();
  Formation(const Formation&) = delete;
  Formation& operator=(const Formation&) = delete;

  // gRPC addresses; this node's own may be among them. `expect`: how many empty nodes found a
  // cluster together; 0: this one founds none. What is new is looked at at once.
  void set_targets(std::vector<std::string> targets, std::size_t expect);
  // For connections that are made from now on.
  void set_credentials(std::shared_ptr<grpc::ChannelCredentials> credentials);
  // This node belongs to a cluster, or the process ends. Does not wait. Hooks are not called any
  // more once the loop has turned.
  void stop();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace iris
