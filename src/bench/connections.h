// The connections of a load: as many as were asked for, each a TCP connection of its own, spread
// over the addresses in turn. Any thread. Owns the channels.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "proto/iris.grpc.pb.h"
#include "raft/result.h"
#include "src/bench/options.h"

namespace iris::bench {

struct Connection {
  std::string address;
  std::shared_ptr<grpc::Channel> channel;
  std::unique_ptr<pb::Iris::Stub> stub;
};

// All of them, connected. Errc::invalid_argument: an address or a file; Errc::unavailable: an
// address that cannot be reached within some seconds, and why.
[[nodiscard]] Result<std::vector<Connection>> connect_all(const Options& options);

}  // namespace iris::bench
