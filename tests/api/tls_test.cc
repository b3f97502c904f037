// TLS on the clients' port (src/net/grpc_tls.h): which clients get in, and certificates that change
// at run time.
#include "src/net/grpc_tls.h"

#include <grpcpp/security/credentials.h>

#include "tests/api/server.h"
#include "tests/catch.h"
#include "tests/peers/certificates.h"

namespace iris::test {
namespace {

using namespace std::chrono_literals;
using grpc::StatusCode;

std::shared_ptr<grpc::ChannelCredentials> client(const Authority& trusted, const Tls* own) {
  grpc::SslCredentialsOptions options;
  options.pem_root_certs = trusted.self().certificate_pem();
  if (own != nullptr) {
    options.pem_private_key = own->material().key_pem;
    options.pem_cert_chain = own->material().certificate_pem;
  }
  return grpc::SslCredentials(options);
}

StatusCode connect(const TestServer& server,
                   const std::shared_ptr<grpc::ChannelCredentials>& credentials) {
  const auto stub = pb::Iris::NewStub(server.new_channel(credentials));
  pb::ConnectResponse response;
  return stub->Connect(context(10s).get(), {}, &response).error_code();
}

TEST_CASE("a client needs a certificate of the CA, and the server shows its own") {
  const Authority authority;
  const Authority other("Another CA");
  const auto own = authority.node();
  const auto client_own = authority.tls({.common_name = "a client"});
  const auto foreign = other.node();
  GrpcTls tls(own->material());
  TestServerOptions options;
  options.api.credentials = tls.server_credentials();
  TestServer server(options);
  REQUIRE(connect(server, client(authority, client_own.get())) == StatusCode::OK);
  REQUIRE(connect(server, tls.channel_credentials()) == StatusCode::OK);  // as nodes join
  REQUIRE(connect(server, client(authority, nullptr)) == StatusCode::UNAVAILABLE);
  REQUIRE(connect(server, client(authority, foreign.get())) == StatusCode::UNAVAILABLE);
  REQUIRE(connect(server, client(other, client_own.get())) == StatusCode::UNAVAILABLE);
  REQUIRE(connect(server, grpc::InsecureChannelCredentials()) == StatusCode::UNAVAILABLE);
}

TEST_CASE("a new certificate is for new connections, old ones go on") {
  const Authority before("The old CA");
  const Authority after("The new CA");
  const auto old_node = before.node();
  const auto new_node = after.node();
  GrpcTls tls(old_node->material());
  TestServerOptions options;
  options.api.credentials = tls.server_credentials();
  TestServer server(options);
  const auto old_client = client(before, old_node.get());
  const auto new_client = client(after, new_node.get());
  const auto standing = pb::Iris::NewStub(server.new_channel(old_client));
  pb::ConnectResponse response;
  REQUIRE(standing->Connect(context().get(), {}, &response).ok());
  REQUIRE(connect(server, new_client) == StatusCode::UNAVAILABLE);

  tls.update(new_node->material());
  REQUIRE(connect(server, new_client) == StatusCode::OK);
  REQUIRE(connect(server, old_client) == StatusCode::UNAVAILABLE);
  REQUIRE(standing->Connect(context().get(), {}, &response).ok());
}

}  // namespace
}  // namespace iris::test
