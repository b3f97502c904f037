// TLS of the client library: what is refused, how soon, and in which words (hazard 109).
#include <chrono>

#include "src/client/client.h"
#include "tests/client/fake_iris.h"
#include "tests/peers/certificates.h"

#include "tests/catch.h"  // last: its CHECK must not stand in for raft/check.h's

using iris::Client;
using iris::Folder;
using iris::Issued;
using iris::client::Code;
using iris::client::Tls;
using iris::test::FakeCluster;
using iris::test::FakeIris;
using namespace std::chrono_literals;

namespace {

// Two authorities, a node of the first, and clients of both.
struct Fixture {
  Folder folder;
  Issued authority = iris::issue({.common_name = "CA"}, nullptr);
  Issued other_authority = iris::issue({.common_name = "Other CA"}, nullptr);
  Issued node_certificate = iris::issue({.alternative_names = "DNS:Iris"}, &authority);
  FakeIris node{std::make_shared<FakeCluster>(), 0, server_credentials()};

  std::shared_ptr<grpc::ServerCredentials> server_credentials() {
    grpc::SslServerCredentialsOptions options(
        GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
    options.pem_root_certs = authority.certificate_pem();
    options.pem_key_cert_pairs = {{node_certificate.key_pem(), node_certificate.certificate_pem()}};
    return grpc::SslServerCredentials(options);
  }
  // Files of a client that `signer` vouches for and that trusts `trusted`.
  Tls files(const Issued& signer, const Issued& trusted) {
    const auto paths = iris::write_files(
        folder, "client", iris::issue({.common_name = "iris-client"}, &signer), trusted);
    return {paths.ca, paths.certificate, paths.key, "Iris"};
  }
  [[nodiscard]] iris::client::Result<Client> client(std::optional<Tls> tls) const {
    iris::client::Options options;
    options.addresses = {node.address()};
    options.tls = std::move(tls);
    options.timeout = 2s;
    return Client::create(std::move(options));
  }
};

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("mutual TLS, to a certificate named Iris at an address that is not") {
  Fixture test;
  auto client = test.client(test.files(test.authority, test.authority));
  REQUIRE(client);
  REQUIRE(client->set("s", "k", "v"));
  CHECK(client->get("s", "k")->bytes == "v");
}

TEST_CASE("a node of another authority, or of another name, is refused at once") {
  Fixture test;
  Tls tls = test.files(test.authority, test.authority);
  std::string part;
  SECTION("authority") {
    tls = test.files(test.authority, test.other_authority);
    part = "certificate verify failed";
  }
  SECTION("name") {
    tls.server_name = "Stela";
    part = "Stela is not in peer certificate";
  }
  auto client = test.client(tls);
  REQUIRE(client);
  const auto start = std::chrono::steady_clock::now();
  const auto written = client->set("s", "k", "v", {.timeout = 20s});
  REQUIRE_FALSE(written);
  CHECK(written.error().code == Code::refused);
  CHECK(contains(written.error().text, part));
  CHECK(contains(written.error().text, test.node.address()));
  CHECK(std::chrono::steady_clock::now() - start < 10s);
  CHECK(test.node.calls("SetValue") == 0);
}

TEST_CASE("who is refused by the node learns that it may be for TLS") {
  Fixture test;
  std::optional<Tls> tls;
  SECTION("plain text to a TLS port") {}
  SECTION("a certificate of another authority") {
    tls = test.files(test.other_authority, test.authority);
  }
  auto client = test.client(tls);
  REQUIRE(client);
  const auto written = client->set("s", "k", "v");
  REQUIRE_FALSE(written);
  CHECK(written.error().code == Code::refused);
  CHECK(contains(written.error().text, "does it want TLS, or another certificate?"));
}

TEST_CASE("each file that is wrong is named, before anything is dialled") {
  Fixture test;
  const Tls good = test.files(test.authority, test.authority);
  const auto objection = [&](const Tls& tls) {
    const auto client = test.client(tls);
    REQUIRE_FALSE(client);
    CHECK(client.error().code == Code::invalid_argument);
    return client.error().text;
  };
  const std::string missing = test.folder / "missing";
  const std::string garbage = test.folder / "garbage";
  const std::string folder = test.folder / "";
  iris::write_file(garbage, "not PEM");
  for (std::string Tls::*file : {&Tls::ca, &Tls::certificate, &Tls::key}) {
    Tls tls = good;
    tls.*file = missing;
    CHECK(contains(objection(tls), "cannot read"));
    CHECK(contains(objection(tls), missing));
    tls.*file = garbage;
    CHECK(contains(objection(tls), garbage + " holds no PEM"));
    tls.*file = folder;
    CHECK(contains(objection(tls), folder + ": Is a directory"));
  }
  const auto with_certificate = [&](const iris::CertificatePlan& plan) {
    const Issued issued = iris::issue(plan, &test.authority);
    Tls tls = good;
    tls.certificate = test.folder / "made.crt";
    tls.key = test.folder / "made.key";
    iris::write_file(tls.certificate, issued.certificate_pem());
    iris::write_file(tls.key, issued.key_pem());
    return tls;
  };
  CHECK(test.client(with_certificate({})));
  CHECK(contains(objection(with_certificate({.until_s = -10})), "made.crt expired on 20"));
  CHECK(contains(objection(with_certificate({.from_s = 3000})), "made.crt is not valid before 20"));
  Tls mixed = with_certificate({});
  mixed.key = good.key;
  CHECK(contains(objection(mixed), "does not belong to the certificate"));
  Tls locked = good;
  locked.key = test.folder / "locked.key";
  iris::write_file(locked.key, iris::issue({}, &test.authority).key_pem("secret"));
  CHECK(contains(objection(locked), "without a password"));
}
