// The program iris as a process: exit codes and error sentences, signals.
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <regex>
#include <sstream>
#include <thread>

#include "src/machine/feature_level.h"
#include "store/folder.h"
#include "tests/api/iris_process.h"
#include "tests/api/write_load.h"

namespace iris::test {
namespace {

using namespace std::chrono_literals;

TEST_CASE("help and version go to stdout and exit 0, a wrong flag exits 2 with one line") {
  Iris help({"-h"});
  REQUIRE(help.exit_code() == 0);
  REQUIRE(help.said("Usage: iris [flags]"));
  Iris version({"--version"});
  REQUIRE(version.exit_code() == 0);
  REQUIRE(std::regex_match(version.log_text(), std::regex("iris \\d+\\.\\d+\\.\\d+\n")));
  Iris wrong({"-prot", "1"});
  REQUIRE(wrong.exit_code() == 2);
  REQUIRE(wrong.log_text() == "iris: unknown flag -prot; did you mean -port?\n");
}

TEST_CASE(
    "verify, restore and recover say what they need, and take their own flags only (exit 2)") {
  const std::pair<std::vector<std::string>, std::string> bad[] = {
      {{"verify"}, "verify needs FILE"},
      {{"verify", "a", "b"}, "unexpected argument \"b\""},
      {{"verify", "a", "-raftdir", "x"}, "unknown flag -raftdir"},
      {{"restore", "-raftdir", "x"}, "restore needs FILE"},
      {{"restore", "a"}, "restore needs -raftdir"},
      {{"restore", "a", "-raftdir", "x", "-yes"}, "unknown flag -yes"},
      {{"restore", "a", "-raftdir", "x", "-advertise", "a:b"}, "for -advertise"},
      {{"restore", "a", "-raftdir", "x", "-advertise", "0.0.0.0"}, "for -advertise"},
      {{"recover"}, "recover needs -raftdir"},
      {{"recover", "-raftdir", "x"}, "recover needs -force-new-cluster"},
      {{"recover", "x"}, "unexpected argument \"x\""}};
  for (const auto& [words, part] : bad) {
    Iris iris(words);
    CAPTURE(part);
    REQUIRE(iris.exit_code() == 2);
    REQUIRE(iris.said(part));
  }
  for (const char* command : {"verify", "restore", "recover"}) {
    Iris help({command, "-h"});
    REQUIRE(help.exit_code() == 0);
    REQUIRE(help.said(std::string("usage: iris ") + command));
  }
}

TEST_CASE("a closed stdin, stdout or stderr is replaced by no file of the node") {
  const Folder folder;
  const std::uint16_t port = free_port();
  std::string line = "exec " + std::string(std::getenv("IRIS_BINARIES")) + "/iris";
  for (const auto& word : plain(port)) line += " " + word;
  Process iris =
      Process::start({"/bin/sh", "-c", line + " <&- >&- 2>&-"}, folder / "log", folder / "");
  REQUIRE(test::await(20s, [&] { return status(port).role() == "leader"; }));
  for (const char* file : {"0", "1", "2"}) {
    const auto path = "/proc/" + std::to_string(iris.pid()) + "/fd/" + file;
    REQUIRE(std::filesystem::read_symlink(path) == "/dev/null");
  }
  iris.signal(SIGTERM);
  REQUIRE(iris.wait(20s) == 0);
}

TEST_CASE("a port that is taken is named, the clients' and the raft port (exit 1)") {
  const std::uint16_t port = free_port();
  {
    const Port other(port);
    Iris iris(plain(port));
    REQUIRE(iris.exit_code() == 1);
    REQUIRE(iris.said("cannot listen on port " + std::to_string(port)));
  }
  const Port other(port + 1);
  Iris iris(plain(port));
  REQUIRE(iris.exit_code() == 1);
  REQUIRE(iris.said(std::to_string(port + 1)));
}

TEST_CASE("a folder in use names the process that has it (exit 1)") {
  const Folder folder;
  const std::uint16_t port = free_port();
  Iris first(plain(port), &folder);
  first.await_log("\"serving\"");
  Iris second(plain(free_port()), &folder);
  REQUIRE(second.exit_code() == 1);
  REQUIRE(second.said(std::to_string(first.pid())));
  first.signal(SIGTERM);
  REQUIRE(first.exit_code() == 0);
}

TEST_CASE("a folder that cannot be made is named (exit 1)") {
  Iris iris(plain(free_port()) + std::vector<std::string>{"-raftdir", "/dev/null/folder"});
  REQUIRE(iris.exit_code() == 1);
  REQUIRE(iris.said("/dev/null"));
}

TEST_CASE("a folder of a newer feature level is refused for good (exit 78; hazards 105, 118)") {
  const Folder folder;
  const std::uint16_t port = free_port();
  {
    Iris node(plain(port) + std::vector<std::string>{"-raftdir", "raft"}, &folder);
    node.await_log("this node leads");
    const pb::StatusResponse said = status(port);
    CHECK(said.api_level() == feature_level.value);
    CHECK(said.cluster_level() == feature_level.value);
    node.signal(SIGTERM);
    REQUIRE(node.exit_code() == 0);
  }
  {
    auto found = store::Folder::open(folder / "raft");
    REQUIRE(found.has_value());
    REQUIRE(found->raise_level({feature_level.value + 1}).has_value());
  }
  Iris older(plain(port) + std::vector<std::string>{"-raftdir", "raft"}, &folder);
  REQUIRE(older.exit_code() == 78);
  REQUIRE(
      older.said("is of a cluster at feature level " + std::to_string(feature_level.value + 1)));
  REQUIRE(older.said("run the newer version of Iris here"));
}

TEST_CASE("bad certificates are named (exit 78)") {
  const Folder folder;
  const auto flags = std::vector<std::string>{"-nostela", "-port", std::to_string(free_port())};
  Iris missing(flags, &folder);
  REQUIRE(missing.exit_code() == 78);
  REQUIRE(missing.said("server.crt"));
  REQUIRE(missing.said("-cert"));
  REQUIRE(missing.said("-insecure"));

  const Issued authority = issue({.common_name = "CA"}, nullptr);
  const Issued own = issue({.alternative_names = "DNS:Iris"}, &authority);
  const Issued other = issue({.alternative_names = "DNS:Iris"}, &authority);
  write_file(folder / "ca.crt", authority.certificate_pem());
  write_file(folder / "server.crt", own.certificate_pem());
  write_file(folder / "server.key", other.key_pem());
  Iris mismatched(flags, &folder);
  REQUIRE(mismatched.exit_code() == 78);
  REQUIRE(mismatched.said("server.key"));

  const Issued old =
      issue({.alternative_names = "DNS:Iris", .from_s = -100, .until_s = -10}, &authority);
  write_file(folder / "server.crt", old.certificate_pem());
  write_file(folder / "server.key", old.key_pem());
  Iris expired(flags, &folder);
  REQUIRE(expired.exit_code() == 78);
  REQUIRE(expired.said("server.crt"));
  REQUIRE(expired.said("expired"));

  const Issued stranger = issue({.common_name = "Another CA"}, nullptr);
  const Issued foreign = issue({.alternative_names = "DNS:Iris"}, &stranger);
  write_file(folder / "server.crt", foreign.certificate_pem());
  write_file(folder / "server.key", foreign.key_pem());
  Iris unsigned_by_ca(flags, &folder);
  REQUIRE(unsigned_by_ca.exit_code() == 78);
  REQUIRE(unsigned_by_ca.said("is signed by \\\"Another CA\\\", which is neither in ca.crt"));

  const Issued for_clients =
      issue({.alternative_names = "DNS:Iris", .extended_usage = "clientAuth"}, &authority);
  write_file(folder / "server.crt", for_clients.certificate_pem());
  write_file(folder / "server.key", for_clients.key_pem());
  Iris wrong_usage(flags, &folder);
  REQUIRE(wrong_usage.exit_code() == 78);
  REQUIRE(wrong_usage.said("its extended key usage does not allow serverAuth"));
}

TEST_CASE("every line of the log is one JSON object, and none is a library's banner") {
  const std::uint16_t port = free_port();
  Iris iris(plain(port) + std::vector<std::string>{"-log-level", "debug"});
  iris.await_log("\"serving\"");
  REQUIRE(set(port, "a secret key").ok());
  iris.signal(SIGTERM);
  REQUIRE(iris.exit_code() == 0);
  std::istringstream lines(iris.log_text());
  int count = 0;
  for (std::string line; std::getline(lines, line); ++count) {
    CAPTURE(line);
    REQUIRE(nlohmann::json::accept(line));
    REQUIRE(line.find("secret") == std::string::npos);
  }
  REQUIRE(count > 2);
}

TEST_CASE("a lone node keeps its data over SIGTERM and leads again at once") {
  const Folder folder;
  const std::uint16_t port = free_port();
  for (int life = 0; life < 2; ++life) {
    Iris iris(plain(port), &folder);
    iris.await_log("\"serving\"");
    REQUIRE(set(port, "k" + std::to_string(life)).ok());
    pb::GetValueRequest request;
    request.set_source("s");
    request.set_key("k0");
    pb::GetValueResponse response;
    REQUIRE(iris_at(port)->GetValue(context().get(), request, &response).ok());
    REQUIRE(response.value() == "v");
    const auto begin = Clock::now();
    iris.signal(life == 0 ? SIGTERM : SIGINT);
    REQUIRE(iris.exit_code() == 0);
    REQUIRE(Clock::now() - begin < 2s);
  }
}

TEST_CASE("data on disk wins over -join, and the log says so") {
  const Folder folder;
  const std::uint16_t port = free_port();
  const std::string unused = "the raft folder holds a member's data already, so -join is not used";
  {
    Iris founder(plain(port), &folder);
    founder.await_log("this node leads");
    REQUIRE_FALSE(founder.said(unused));
    founder.signal(SIGTERM);
    REQUIRE(founder.exit_code() == 0);
  }
  Iris again(plain(port) + std::vector<std::string>{"-join", "127.0.0.1:9"}, &folder);
  again.await_log(unused);
  REQUIRE(set(port, "k").ok());  // it leads its own cluster and waits for no other
  REQUIRE_FALSE(again.said("not in a cluster yet"));
}

TEST_CASE("a stop with open streams and waiting calls takes less than two seconds (exit 0)") {
  const std::uint16_t port = free_port();
  // No node answers at the address to join: every write waits.
  Iris iris(plain(port) + std::vector<std::string>{"-join", "127.0.0.1:9"});
  iris.await_log("\"serving\"");
  iris.await_log("not in a cluster yet");
  const auto stub = iris_at(port);
  pb::ListenRequest request;
  request.set_session("S");
  const auto call = context();
  const auto listening = stub->Listen(call.get(), request);
  std::thread waiting([&] { static_cast<void>(set(port, "k")); });
  REQUIRE(status(port).role() == "none");
  const auto begin = Clock::now();
  iris.signal(SIGTERM);
  REQUIRE(iris.exit_code() == 0);
  REQUIRE(Clock::now() - begin < 2s);
  waiting.join();
  pb::Update update;
  REQUIRE_FALSE(listening->Read(&update));
}

TEST_CASE("a node that is stopped under load answers nobody CANCELLED") {
  const std::uint16_t port = free_port();
  Iris iris(plain(port));
  iris.await_log("\"serving\"");
  WriteLoad load;
  for (int i = 0; i < 4; ++i) {
    grpc::ChannelArguments own_connection;
    own_connection.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    load.add(grpc::CreateCustomChannel("127.0.0.1:" + std::to_string(port),
                                       grpc::InsecureChannelCredentials(), own_connection),
             200);
  }
  REQUIRE(load.await_done(2'000));
  iris.signal(SIGTERM);
  REQUIRE(load.await_end() == "");
  REQUIRE(iris.exit_code() == 0);
}

// A tick each millisecond, so that one may be due in the turn that leaves the loop. That once
// crashed; each stop here has a small chance of it.
TEST_CASE("a node may be stopped at any moment (exit 0)") {
  constexpr int rounds = 10;
  constexpr int nodes_max = 4;
  for (int round = 0; round < rounds; ++round) {
    std::vector<std::unique_ptr<Iris>> nodes;
    nodes.reserve(nodes_max);
    for (int i = 0; i < nodes_max; ++i) {
      nodes.push_back(std::make_unique<Iris>(
          plain(free_port()) +
          std::vector<std::string>{"-heartbeat-ms", "5", "-election-ms", "50"}));
    }
    for (const auto& node : nodes) {
      node->await_log("\"serving\"");
      node->signal(SIGTERM);
    }
    for (const auto& node : nodes) REQUIRE(node->exit_code() == 0);
  }
}

TEST_CASE("SIGHUP reads the certificates again, and keeps the former where they are no good") {
  const Folder folder;
  const Issued authority = issue({.common_name = "CA"}, nullptr);
  const Issued own = issue({.alternative_names = "DNS:Iris"}, &authority);
  write_file(folder / "ca.crt", authority.certificate_pem());
  write_file(folder / "server.crt", own.certificate_pem());
  write_file(folder / "server.key", own.key_pem());
  const std::uint16_t port = free_port();
  Iris iris({"-nostela", "-port", std::to_string(port)}, &folder);
  iris.await_log("\"serving\"");
  iris.signal(SIGHUP);
  iris.await_log("certificates reloaded");
  write_file(folder / "server.crt", "nonsense");
  iris.signal(SIGHUP);
  iris.await_log("the former ones stay");
  iris.signal(SIGTERM);
  REQUIRE(iris.exit_code() == 0);
}

// stderr as the journal has it.
TEST_CASE("under systemd each line of the log begins with its priority") {
  const Folder folder;
  const std::string log = folder / "log";
  write_file(log, "");
  struct stat file {};
  REQUIRE(::stat(log.c_str(), &file) == 0);
  ::setenv("JOURNAL_STREAM",
           (std::to_string(file.st_dev) + ":" + std::to_string(file.st_ino)).c_str(), 1);
  const std::string iris = std::string(std::getenv("IRIS_BINARIES")) + "/iris";
  Process bad =
      Process::start({iris, "-nostela", "-port", std::to_string(free_port())}, log, folder / "");
  const auto code = bad.wait(20s);
  Iris other({"-nostela", "-port", std::to_string(free_port())});  // its stderr is another file
  REQUIRE(other.exit_code() == 78);
  ::unsetenv("JOURNAL_STREAM");
  REQUIRE(code == 78);
  REQUIRE(read_text(log).starts_with("<6>{\"time\":"));
  REQUIRE(read_text(log).find("\n<3>{\"time\":") != std::string::npos);
  REQUIRE(other.log_text().starts_with("{\"time\":"));
}

TEST_CASE("the log tells of a TLS handshake of a client that failed, with the reason") {
  const Folder folder;
  const Issued authority = issue({.common_name = "CA"}, nullptr);
  const TlsPaths paths =
      write_files(folder, "n", issue({.alternative_names = "DNS:Iris"}, &authority), authority);
  const std::uint16_t port = free_port();
  Iris iris({"-nostela", "-listen", "127.0.0.1", "-port", std::to_string(port), "-cert",
             paths.certificate, "-key", paths.key, "-ca", paths.ca},
            &folder);
  iris.await_log("\"serving\"");
  grpc::SslCredentialsOptions without;
  without.pem_root_certs = read_text(paths.ca);
  const auto channel =
      grpc::CreateChannel("127.0.0.1:" + std::to_string(port), grpc::SslCredentials(without));
  pb::ConnectResponse response;
  REQUIRE_FALSE(pb::Iris::NewStub(channel)->Connect(context().get(), {}, &response).ok());
  iris.await_log(
      "a TLS handshake over gRPC failed\",\"why\":\"peer did not return a certificate\"");
}

TEST_CASE("three empty nodes that expect each other form one cluster (hazard 56)") {
  std::vector<std::uint16_t> ports;
  std::string all;
  for (int i = 0; i < 3; ++i) {
    ports.push_back(free_port());
    all += (all.empty() ? "127.0.0.1:" : ",127.0.0.1:") + std::to_string(ports.back());
  }
  std::vector<std::unique_ptr<Iris>> nodes;
  nodes.reserve(ports.size());
  for (const std::uint16_t port : ports) {
    nodes.push_back(std::make_unique<Iris>(
        plain(port) + std::vector<std::string>{"-bootstrap-expect", "3", "-join", all}));
  }
  REQUIRE(test::await(30s, [&] { return status(ports[0]).voters() == 3; }));
  const std::string cluster = status(ports[0]).cluster_id();
  for (const std::uint16_t port : ports) {
    REQUIRE(set(port, std::to_string(port)).ok());
    REQUIRE(status(port).cluster_id() == cluster);
  }
  for (auto& node : nodes) node->signal(SIGTERM);
  for (auto& node : nodes) REQUIRE(node->exit_code() == 0);
}

TEST_CASE("a join target that is down is tried until it is up") {
  const std::uint16_t first = free_port();
  const std::uint16_t second = free_port();
  Iris joining(plain(second) +
               std::vector<std::string>{"-join", "127.0.0.1:" + std::to_string(first)});
  joining.await_log("not in a cluster yet");
  REQUIRE(joining.said("it does not answer: Connection refused"));
  Iris founding(plain(first));
  REQUIRE(test::await(30s, [&] { return status(second).voters() == 2; }));
  REQUIRE(set(second, "k").ok());
}

// As after a reboot, when the pid that scripts/cluster saved belongs to another process.
TEST_CASE("scripts/cluster stops nobody whose pid a node had once") {
  const Folder folder;
  Process stranger = Process::start({"/bin/sleep", "100"}, folder / "log", folder / "");
  std::filesystem::create_directory(folder / "node1");
  write_file(folder / "node1/pid", std::to_string(stranger.pid()) + "\n");
  Process script =
      Process::start({std::string(std::getenv("IRIS_ROOT")) + "/scripts/cluster", "stop", "1",
                      "--insecure", "--dir", folder / "", "--bin", std::getenv("IRIS_BINARIES")},
                     folder / "log", folder / "");
  REQUIRE(script.wait(30s) == 0);
  REQUIRE(stranger.running());
}

}  // namespace
}  // namespace iris::test
