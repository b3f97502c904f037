#include "src/net/grpc_tls.h"

#include <grpc/grpc.h>
#include <grpc/grpc_security.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/security/server_credentials.h>

#include <utility>

namespace iris {

// Server credentials that are renewed on demand exist in gRPC's C interface only; this class makes
// them usable in C++.
class ReloadingCredentials final : public grpc::ServerCredentials {
 public:
  explicit ReloadingCredentials(GrpcTls& tls)
      : credentials_(grpc_ssl_server_credentials_create_with_options(
            grpc_ssl_server_credentials_create_options_using_config_fetcher(
                GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY, fetch, &tls))) {}
  ~ReloadingCredentials() override { grpc_server_credentials_release(credentials_); }
  ReloadingCredentials(const ReloadingCredentials&) = delete;
  ReloadingCredentials& operator=(const ReloadingCredentials&) = delete;

  void SetAuthMetadataProcessor(
      const std::shared_ptr<grpc::AuthMetadataProcessor>& processor) override {
    static_cast<void>(processor);  // nothing is decided by metadata
  }

 private:
  int AddPortToServer(const std::string& address, grpc_server* server) override {
    return grpc_server_add_http2_port(server, address.c_str(), credentials_);
  }

  // On gRPC's threads, at each handshake.
  static grpc_ssl_certificate_config_reload_status fetch(
      void* self, grpc_ssl_server_certificate_config** config) {
    auto& tls = *static_cast<GrpcTls*>(self);
    const std::lock_guard lock(tls.mutex_);
    if (std::exchange(tls.fetched_, true)) return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_UNCHANGED;
    const TlsMaterial& material = tls.material_;
    const grpc_ssl_pem_key_cert_pair pair = {material.key_pem.c_str(),
                                             material.certificate_pem.c_str()};
    *config = grpc_ssl_server_certificate_config_create(material.ca_pem.c_str(), &pair, 1);
    return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_NEW;
  }

  grpc_server_credentials* credentials_;
};

GrpcTls::GrpcTls(TlsMaterial material) : material_(std::move(material)) {}

void GrpcTls::update(TlsMaterial material) {
  const std::lock_guard lock(mutex_);
  material_ = std::move(material);
  fetched_ = false;
}

std::shared_ptr<grpc::ServerCredentials> GrpcTls::server_credentials() {
  return std::make_shared<ReloadingCredentials>(*this);
}

std::shared_ptr<grpc::ChannelCredentials> GrpcTls::channel_credentials() const {
  const std::lock_guard lock(mutex_);
  return grpc::SslCredentials({material_.ca_pem, material_.key_pem, material_.certificate_pem});
}

}  // namespace iris
