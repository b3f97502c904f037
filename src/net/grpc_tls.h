// GrpcTls: the material of src/net/tls as credentials of gRPC. New connections use the material of
// the last update(), as gRPC asks for the certificate at each handshake.
// update() and the factories on the loop; gRPC's threads fetch the texts under a lock that is held
// for a copy. Outlives every server that uses its credentials.
#pragma once

#include <memory>
#include <mutex>

#include "src/net/tls.h"

namespace grpc {
class ChannelCredentials;
class ServerCredentials;
}  // namespace grpc

namespace iris {

class GrpcTls {
 public:
  explicit GrpcTls(TlsMaterial material);
  void update(TlsMaterial material);

  // Requires a certificate of every client and verifies it against the CA. For one server.
  [[nodiscard]] std::shared_ptr<grpc::ServerCredentials> server_credentials();
  // As they are now.
  [[nodiscard]] std::shared_ptr<grpc::ChannelCredentials> channel_credentials() const;

 private:
  friend class ReloadingCredentials;
  mutable std::mutex mutex_;
  TlsMaterial material_;  // under mutex_
  bool fetched_ = false;  // under mutex_: the server has material_
};

}  // namespace iris
