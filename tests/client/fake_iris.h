// FakeIris: a node for tests of clients, in this process, over real sockets. Several share one
// FakeCluster, which is all the state there is, so that a client can be sent from one to another.
// It answers as iris.proto says; a test bends that by `before` and `after`. Its threads are gRPC's.
#pragma once

#include <grpcpp/grpcpp.h>

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "proto/iris.grpc.pb.h"

namespace iris::test {

struct FakeCluster {
  struct Stored {
    std::string value;
    std::uint64_t revision = 0;
  };
  std::mutex mutex;
  std::condition_variable changed;
  std::map<std::string, std::map<std::string, Stored>> sources;
  std::vector<pb::Update> log;  // in order of revision
  std::uint64_t trimmed = 0;    // revisions up to this one are not in the log any more
  std::uint64_t revision = 10;  // of the last command
  std::map<std::string, std::map<std::string, std::uint64_t>> sessions;  // topic -> since revision
  std::uint64_t next_session = 1;
  pb::StatusResponse status;
  pb::MembersResponse members;

  // Changes as another client would make them.
  std::uint64_t set(const std::string& source, const std::string& key, const std::string& value);
  std::uint64_t remove_source(const std::string& source);
  void trim();
  void expire_sessions();
};

class FakeIris final : public pb::Iris::Service, public pb::Cluster::Service {
 public:
  // port 0: any free one. `credentials` empty: no TLS.
  explicit FakeIris(std::shared_ptr<FakeCluster> cluster, int port = 0,
                    std::shared_ptr<grpc::ServerCredentials> credentials = nullptr);
  ~FakeIris() override;

  [[nodiscard]] std::string address() const { return "127.0.0.1:" + std::to_string(port_); }
  [[nodiscard]] int port() const { return port_; }
  // Closes every connection, as a killed process does. Once.
  void kill();
  [[nodiscard]] int calls(const std::string& method) const;
  // Blocks until the method was called this often, at most 10 s.
  [[nodiscard]] bool await_calls(const std::string& method, int count) const;

  // A status with which a call is answered before, or after, it is carried out. Set while no call
  // is under way.
  using Hook = std::function<std::optional<grpc::Status>(std::string_view method,
                                                         grpc::ServerContext& context)>;
  Hook before, after;
  // Called with each update of a stream; false: it is not sent and the stream ends.
  std::function<bool(const pb::Update&)> on_stream;

  // A node's own "not done".
  static grpc::Status not_done(grpc::ServerContext& context, const std::string& text);

 private:
  grpc::Status Join(grpc::ServerContext*, const pb::JoinRequest*, pb::JoinResponse*) override;
  grpc::Status Connect(grpc::ServerContext*, const pb::ConnectRequest*,
                       pb::ConnectResponse*) override;
  grpc::Status Listen(grpc::ServerContext*, const pb::ListenRequest*,
                      grpc::ServerWriter<pb::Update>*) override;
  grpc::Status GetSources(grpc::ServerContext*, const pb::GetSourcesRequest*,
                          grpc::ServerWriter<pb::GetSourcesResponse>*) override;
  grpc::Status GetKeys(grpc::ServerContext*, const pb::GetKeysRequest*,
                       grpc::ServerWriter<pb::GetKeysResponse>*) override;
  grpc::Status SetValue(grpc::ServerContext*, const pb::SetValueRequest*,
                        pb::SetValueResponse*) override;
  grpc::Status GetValue(grpc::ServerContext*, const pb::GetValueRequest*,
                        pb::GetValueResponse*) override;
  grpc::Status RemoveValue(grpc::ServerContext*, const pb::RemoveValueRequest*,
                           pb::RemoveValueResponse*) override;
  grpc::Status RemoveSource(grpc::ServerContext*, const pb::RemoveSourceRequest*,
                            pb::RemoveSourceResponse*) override;
  grpc::Status Subscribe(grpc::ServerContext*, const pb::SubscribeRequest*,
                         pb::SubscribeResponse*) override;
  grpc::Status SubscribeKey(grpc::ServerContext*, const pb::SubscribeKeyRequest*,
                            pb::SubscribeKeyResponse*) override;
  grpc::Status Unsubscribe(grpc::ServerContext*, const pb::UnsubscribeRequest*,
                           pb::UnsubscribeResponse*) override;
  grpc::Status UnsubscribeKey(grpc::ServerContext*, const pb::UnsubscribeKeyRequest*,
                              pb::UnsubscribeKeyResponse*) override;
  grpc::Status Status(grpc::ServerContext*, const pb::StatusRequest*, pb::StatusResponse*) override;
  grpc::Status Members(grpc::ServerContext*, const pb::MembersRequest*,
                       pb::MembersResponse*) override;
  grpc::Status RemoveMember(grpc::ServerContext*, const pb::RemoveMemberRequest*,
                            pb::RemoveMemberResponse*) override;
  grpc::Status PromoteMember(grpc::ServerContext*, const pb::PromoteMemberRequest*,
                             pb::PromoteMemberResponse*) override;
  grpc::Status TransferLeader(grpc::ServerContext*, const pb::TransferLeaderRequest*,
                              pb::TransferLeaderResponse*) override;

  // Counts the call, asks the hooks, runs `body` between them.
  grpc::Status serve(std::string_view method, grpc::ServerContext* context,
                     const std::function<grpc::Status()>& body);
  // The updates of one stream up to now; `next` moves forward.
  [[nodiscard]] std::vector<pb::Update> due(const pb::ListenRequest& request, std::uint64_t& seen,
                                            bool& state_first);

  std::shared_ptr<FakeCluster> cluster_;
  mutable std::mutex mutex_;
  mutable std::condition_variable called_;
  std::map<std::string, int, std::less<>> calls_;
  std::atomic<bool> killed_ = false;
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

// A node that can fall silent: what is to be sent then waits until this is gone. Declared before
// the client that listens.
class MuteNode {
  std::atomic<bool> silent_ = false;
  std::atomic<bool> over_ = false;

 public:
  explicit MuteNode(std::shared_ptr<FakeCluster> cluster);
  ~MuteNode() { over_ = true; }
  MuteNode(const MuteNode&) = delete;
  MuteNode& operator=(const MuteNode&) = delete;

  void fall_silent() { silent_ = true; }
  FakeIris node;  // last: its streams use the above
};

}  // namespace iris::test
