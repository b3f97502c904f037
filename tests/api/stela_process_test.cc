// The program iris with a discovery service: founding and joining, a Stela that lost its entries,
// certificates, and the stop.
#include <csignal>
#include <memory>
#include <string>
#include <vector>

#include "src/discovery/stela.h"
#include "tests/api/iris_process.h"
#include "tests/client/fake_stela.h"

namespace iris::test {
namespace {

using Flags = std::vector<std::string>;

Flags at(const FakeStela& stela, std::uint16_t port) {
  return {"-stela",    stela.address(), "-insecure",         "-listen",
          "127.0.0.1", "-port",         std::to_string(port)};
}

bool votes_among(std::uint16_t port, std::uint32_t voters, Milliseconds limit = 40s) {
  return test::await(limit, [&] {
    const auto now = status(port);
    return now.voters() == voters && (now.role() == "leader" || now.role() == "follower");
  });
}

TEST_CASE(
    "first nodes found one cluster, and a Stela that forgot it causes no second (hazard 56)") {
  auto stela = std::make_unique<FakeStela>();
  const std::uint16_t ports[] = {free_port(), free_port(), free_port()};
  Iris first(at(*stela, ports[0]));
  Iris second(at(*stela, ports[1]));
  REQUIRE(votes_among(ports[0], 2));
  REQUIRE(votes_among(ports[1], 2));
  REQUIRE(stela->await_registered(2));
  const std::string cluster = status(ports[0]).cluster_id();
  REQUIRE(status(ports[1]).cluster_id() == cluster);

  // Stela dies, is away until its clients retry at their slowest, and comes back without entries.
  const int at_port = stela->port();
  stela.reset();
  stela = std::make_unique<FakeStela>(at_port);
  stela->refuse(true);
  REQUIRE(stela->await_refusals(20));
  Iris third(at(*stela, ports[2]));
  stela->refuse(false);
  REQUIRE(votes_among(ports[2], 3));
  REQUIRE(status(ports[2]).cluster_id() == cluster);
  REQUIRE(stela->await_registered(3));

  third.signal(SIGTERM);
  REQUIRE(third.exit_code() == 0);
  REQUIRE(stela->await_registered(2));
}

TEST_CASE("a Stela that is not there is waited for, and said to be away once") {
  FakeStela stela;
  stela.refuse(true);
  const std::uint16_t port = free_port();
  Iris iris(at(stela, port));
  REQUIRE(stela.await_refusals(8));
  REQUIRE(iris.count("not registered at Stela") == 1);
  REQUIRE(status(port).role() == "none");
  stela.refuse(false);
  iris.await_log("\"registered at Stela\"");
  iris.signal(SIGTERM);
  REQUIRE(iris.exit_code() == 0);
  REQUIRE(stela.await_registered(0));
}

// The same node under another name of its machine, as in an entry of an earlier run.
TEST_CASE("missing nodes of Stela's list are not blamed on a flag") {
  FakeStela stela;
  const std::uint16_t port = free_port();
  stela::pb::ServiceMessage other;
  other.set_name(Stela::service_name);
  other.set_hostname("localhost");
  other.set_port(port);
  stela.found = {other};
  Iris iris(at(stela, port));
  iris.await_log("1 of 2 nodes are there");
  REQUIRE(iris.said("\"target\":\"Stela\""));
  REQUIRE_FALSE(iris.said("-bootstrap-expect"));
  REQUIRE(status(port).role() == "none");
}

TEST_CASE("a member whose name is advertised tells Stela the name, and its address") {
  FakeStela stela;
  Iris iris(at(stela, free_port()) + Flags{"-bootstrap-expect", "1", "-advertise", "localhost"});
  REQUIRE(stela.await_registered(1));
  REQUIRE(stela.registered().hostname() == "localhost");
  REQUIRE(stela.registered().ipv4() == "127.0.0.1");
  REQUIRE(stela.client_address == "127.0.0.1");
}

// The signal comes while the removed node is stopping by itself and waits for its deregistration.
TEST_CASE("the first signal to a node that stops by itself is no second one (exit 0)") {
  FakeStela stela;
  const std::uint16_t leader = free_port();
  const std::uint16_t leaving = free_port();
  Iris first(at(stela, leader) + Flags{"-bootstrap-expect", "1"});
  Iris second(at(stela, leaving) + Flags{"-join", "127.0.0.1:" + std::to_string(leader)});
  REQUIRE(votes_among(leaving, 2));
  REQUIRE(stela.await_registered(2));
  stela.holds_farewells = true;
  pb::RemoveMemberRequest request;
  request.set_id(status(leaving).id());
  pb::RemoveMemberResponse response;
  REQUIRE(cluster_at(leader)->RemoveMember(context().get(), request, &response).ok());
  second.await_log("\"stopping\"");
  second.signal(SIGTERM);
  REQUIRE(second.exit_code() == 0);
  REQUIRE_FALSE(second.said("a second signal"));
}

TEST_CASE("a second signal ends a node at once (exit 1)") {
  FakeStela stela;
  Iris iris(at(stela, free_port()) + Flags{"-bootstrap-expect", "1"});
  REQUIRE(stela.await_registered(1));
  iris.await_log("\"serving\"");
  stela.holds_farewells = true;
  iris.signal(SIGTERM);
  iris.signal(SIGINT);  // another signal, because two equal ones may be merged
  REQUIRE(iris.exit_code() == 1);
  REQUIRE(iris.said("a second signal"));
}

// --- Certificates.

std::shared_ptr<grpc::ServerCredentials> server_credentials(const Issued& authority,
                                                            const Issued& own) {
  grpc::SslServerCredentialsOptions options(
      GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
  options.pem_root_certs = authority.certificate_pem();
  options.pem_key_cert_pairs.push_back({own.key_pem(), own.certificate_pem()});
  return grpc::SslServerCredentials(options);
}

// Files of a node, as the flags with `prefix` name them.
Flags write_flags(const Folder& folder, const std::string& prefix, const Issued& authority) {
  const Issued own = issue({.alternative_names = "DNS:Iris"}, &authority);
  const TlsPaths paths = write_files(folder, "files" + prefix, own, authority);
  if (prefix.empty()) {
    return {"-cert", paths.certificate, "-key", paths.key, "-ca", paths.ca};
  }
  return {"-" + prefix + "Cert", paths.certificate, "-" + prefix + "Key", paths.key,
          "-" + prefix + "CA",   paths.ca};
}

TEST_CASE("SIGHUP reads the certificates towards Stela again") {
  const Folder folder;
  const Issued former = issue({.common_name = "former CA"}, nullptr);
  const Issued latter = issue({.common_name = "latter CA"}, nullptr);
  const Issued stela_former = issue({.alternative_names = "DNS:Stela"}, &former);
  const Issued stela_latter = issue({.alternative_names = "DNS:Stela"}, &latter);
  auto stela = std::make_unique<FakeStela>(0, server_credentials(former, stela_former));
  const int at_port = stela->port();
  Iris iris(Flags{"-stela", stela->address(), "-port", std::to_string(free_port()), "-listen",
                  "127.0.0.1", "-bootstrap-expect", "1"} +
                write_flags(folder, "", former) + write_flags(folder, "stela", former),
            &folder);
  REQUIRE(stela->await_registered(1));
  stela.reset();
  stela = std::make_unique<FakeStela>(at_port, server_credentials(latter, stela_latter));
  iris.await_log("not registered at Stela");
  REQUIRE(stela->registrations() == 0);
  static_cast<void>(write_flags(folder, "stela", latter));
  iris.signal(SIGHUP);
  REQUIRE(stela->await_registered(1));
  iris.signal(SIGTERM);
  REQUIRE(iris.exit_code() == 0);
}

TEST_CASE("SIGHUP gives a node that cannot join yet the certificates it needs") {
  const Folder folder;
  const Folder other;
  const Issued authority = issue({.common_name = "CA"}, nullptr);
  const Issued wrong = issue({.common_name = "another CA"}, nullptr);
  const std::uint16_t port = free_port();
  const auto plain_tls = [](std::uint16_t of) {
    return Flags{"-nostela", "-listen", "127.0.0.1", "-port", std::to_string(of)};
  };
  Iris first(plain_tls(port) + write_flags(folder, "", authority), &folder);
  Iris second(plain_tls(free_port()) + write_flags(other, "", wrong) +
                  Flags{"-join", "127.0.0.1:" + std::to_string(port)},
              &other);
  first.await_log("this node leads");
  second.await_log("not in a cluster yet");
  static_cast<void>(write_flags(other, "", authority));
  second.signal(SIGHUP);
  second.await_log("admitted to a cluster");
}

TEST_CASE("an empty node that would go by Stela needs certificates for it (exit 78)") {
  const Folder folder;
  const Issued authority = issue({.common_name = "CA"}, nullptr);
  const FakeStela stela;
  const std::uint16_t port = free_port();
  const Flags flags = Flags{"-stela", stela.address(),      "-listen",    "127.0.0.1",
                            "-port",  std::to_string(port), "-stelaCert", "missing.crt"} +
                      write_flags(folder, "", authority);
  {
    Iris iris(flags, &folder);
    REQUIRE(iris.exit_code() == 78);
    REQUIRE(iris.said("missing.crt"));
    REQUIRE(iris.said("-stelaCert"));
    REQUIRE_FALSE(iris.said("\"serving\""));
  }
  const std::string unknown = "not at Stela before SIGHUP finds better certificates";
  {
    Iris joining(flags + Flags{"-join", "127.0.0.1:9"}, &folder);
    joining.await_log(unknown);
    joining.await_log("\"serving\"");
  }
  {
    Iris founding(flags + Flags{"-bootstrap-expect", "1"}, &folder);
    founding.await_log("this node leads");
    founding.signal(SIGTERM);
    REQUIRE(founding.exit_code() == 0);
  }
  Iris again(flags, &folder);  // it has data
  again.await_log(unknown);
  again.await_log("this node leads");
}

}  // namespace
}  // namespace iris::test
