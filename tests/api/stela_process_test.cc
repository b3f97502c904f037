// The program iris with a discovery service: who founds, who joins, what a Stela that forgot
// everything does not cause, certificates towards it, and the end.
#include <grpcpp/grpcpp.h>

#include <csignal>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "src/discovery/discovery.h"
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

// A node of 2017: it serves, and knows nothing of the service Cluster.
class OldIris final : public pb::Iris::Service {
 public:
  OldIris() {
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port_);
    builder.RegisterService(this);
    server_ = builder.BuildAndStart();
    REQUIRE(server_ != nullptr);
  }
  ~OldIris() override { server_->Shutdown(std::chrono::system_clock::now()); }
  [[nodiscard]] stela::pb::ServiceMessage service() const {
    stela::pb::ServiceMessage message;
    message.set_name(Stela::service_name);
    message.set_hostname("old.example");
    message.set_ipv4("127.0.0.1");
    message.set_port(port_);
    return message;
  }

 private:
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

TEST_CASE("a node that waits beside one of 2017 is not registered, and names it") {
  FakeStela stela;
  const OldIris old;
  stela.list({old.service()});
  const std::uint16_t port = free_port();
  Iris iris(at(stela, port));
  iris.await_log("an Iris of 2017 serves there: it cannot be joined");
  std::this_thread::sleep_for(discovery_quiet + 2s);
  REQUIRE(stela.registrations() == 0);
  REQUIRE(status(port).role() == "none");
  // Once the old one is gone there is nobody to mislead, and a cluster to found.
  stela.list({});
  REQUIRE(stela.await_registered(1));
  REQUIRE(votes_among(port, 1));
}

TEST_CASE("a registered node that finds one that it cannot join takes its registration back") {
  FakeStela stela;
  const OldIris old;
  const std::uint16_t port = free_port();
  Iris iris(at(stela, port));
  REQUIRE(stela.await_registered(1));
  stela.list({old.service()});
  REQUIRE(stela.await_registered(0));
  std::this_thread::sleep_for(discovery_quiet + 2s);
  REQUIRE(stela.registrations() == 1);
  REQUIRE(status(port).role() == "none");
  iris.signal(SIGTERM);
  REQUIRE(iris.exit_code() == 0);
}

// So it is with certificates of another authority than those of the nodes that are listed.
TEST_CASE("a node that cannot speak to those that are listed is not registered") {
  FakeStela stela;
  Iris member(at(stela, free_port()) + Flags{"-bootstrap-expect", "1"});
  REQUIRE(stela.await_registered(1));
  const Folder folder;
  const Issued authority = issue({.common_name = "CA"}, nullptr);
  // -insecure would be about Stela too; what is dialled with TLS here speaks plain text.
  const Issued stela_own = issue({.alternative_names = "DNS:Stela"}, &authority);
  FakeStela stela_tls(0, server_credentials(authority, stela_own));
  stela_tls.list({stela.registered()});
  Iris stranger(Flags{"-stela", stela_tls.address(), "-listen", "127.0.0.1", "-port",
                      std::to_string(free_port())} +
                    write_flags(folder, "", authority) + write_flags(folder, "stela", authority),
                &folder);
  stranger.await_log("it does not answer");
  std::this_thread::sleep_for(2s);
  REQUIRE(stela_tls.registrations() == 0);
}

TEST_CASE("a node that joins by -join is registered once it serves, not before") {
  FakeStela stela;
  const std::uint16_t first_port = free_port();
  Iris late(at(stela, free_port()) + Flags{"-join", "127.0.0.1:" + std::to_string(first_port)});
  late.await_log("not in a cluster yet");
  REQUIRE(stela.registrations() == 0);
  Iris first(at(stela, first_port) + Flags{"-bootstrap-expect", "1"});
  REQUIRE(stela.await_registered(2));
}

TEST_CASE("a Stela that takes a registration and lists nobody is said to have no multicast") {
  FakeStela stela;
  stela.discover_status = grpc::Status(grpc::StatusCode::UNKNOWN, "network is unreachable");
  const std::uint16_t port = free_port();
  Iris iris(at(stela, port));
  iris.await_log("the multicast by which it finds services");
  REQUIRE(iris.said("it says: network is unreachable"));
  REQUIRE(iris.said("-nostela does without Stela"));
  REQUIRE(status(port).role() == "none");
}

TEST_CASE("without a Stela a node says at once what it waits for, and what to do") {
  const std::string nobody = "127.0.0.1:" + std::to_string(free_port());
  Iris iris(Flags{"-stela", nobody, "-insecure", "-listen", "127.0.0.1", "-port",
                  std::to_string(free_port())});
  iris.await_log("this node waits for Stela and serves nothing");
  REQUIRE(iris.said("Stela at " + nobody));
  REQUIRE(iris.said("-nostela does without"));
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

TEST_CASE("certificates towards Stela that come late are found without a signal") {
  const Folder folder;
  const Issued authority = issue({.common_name = "CA"}, nullptr);
  const Issued stela_own = issue({.alternative_names = "DNS:Stela"}, &authority);
  FakeStela stela(0, server_credentials(authority, stela_own));
  const Flags late = write_flags(folder, "stela", authority);
  const std::string ca = late[5];
  const std::string pem = read_text(ca);
  write_file(ca, "not written yet");
  Iris iris(Flags{"-stela", stela.address(), "-port", std::to_string(free_port()), "-listen",
                  "127.0.0.1", "-bootstrap-expect", "1"} +
                write_flags(folder, "", authority) + late,
            &folder);
  iris.await_log("not at Stela before its certificates are better ones");
  iris.await_log("this node leads");
  write_file(ca, pem);
  // The files are looked at every 10 s, which is as long as one of these waits.
  REQUIRE((stela.await_registered(1) || stela.await_registered(1)));
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
  const std::string unknown = "not at Stela before its certificates are better ones";
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
