// NodeApi: one node's gRPC interface as the clients of 2017 use it: raw stubs and blocking calls.
// It does not use the client library, so that its faults are not shared. Any thread.
#pragma once

#include <grpcpp/grpcpp.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "proto/iris.grpc.pb.h"
#include "tests/cluster/process.h"

namespace iris::test {

struct Tls {
  std::string folder;  // of scripts/certs; empty: no TLS
};

enum class CallAnswer { ok, not_done, unknown };  // not_done: RESOURCE_EXHAUSTED

struct WriteAnswer {
  CallAnswer answer = CallAnswer::unknown;
  std::uint64_t revision = 0;
  std::string text;
};
struct ReadAnswer {
  bool ok = false;
  bool found = false;
  std::string value;
  std::uint64_t revision = 0;
  std::string text;
};

class NodeApi {
 public:
  NodeApi(const std::string& address, const Tls& tls);

  [[nodiscard]] WriteAnswer set(const std::string& source, const std::string& key,
                                const std::string& value, Milliseconds limit) const;
  [[nodiscard]] WriteAnswer remove(const std::string& source, const std::string& key,
                                   Milliseconds limit) const;
  [[nodiscard]] ReadAnswer get(const std::string& source, const std::string& key,
                               Milliseconds limit) const;
  // Key and value of a whole source; ok = false where the call failed.
  struct Listing {
    bool ok = false;
    std::vector<std::pair<std::string, std::string>> rows;
  };
  [[nodiscard]] Listing list(const std::string& source, Milliseconds limit) const;
  // false: no answer within the limit.
  [[nodiscard]] bool status(pb::StatusResponse& response, Milliseconds limit) const;
  [[nodiscard]] bool members(pb::MembersResponse& response, Milliseconds limit) const;

  [[nodiscard]] pb::Iris::Stub& iris() const { return *iris_; }
  [[nodiscard]] pb::Cluster::Stub& cluster() const { return *cluster_; }

 private:
  std::unique_ptr<pb::Iris::Stub> iris_;
  std::unique_ptr<pb::Cluster::Stub> cluster_;
};

[[nodiscard]] std::shared_ptr<grpc::ChannelCredentials> credentials(const Tls& tls);
void set_deadline(grpc::ClientContext& context, Milliseconds limit);

}  // namespace iris::test
