// The program iris as a process: exit codes and error sentences, signals, messages to systemd.
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <regex>
#include <sstream>
#include <thread>

#include "tests/api/iris_process.h"

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

// What systemd would hear.
class NotifySocket {
 public:
  NotifySocket() : path_(folder_ / "notify"), socket_(::socket(AF_UNIX, SOCK_DGRAM, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path_.copy(static_cast<char*>(address.sun_path), sizeof address.sun_path - 1);
    REQUIRE(::bind(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
    ::setenv("NOTIFY_SOCKET", path_.c_str(), 1);
    ::setenv("WATCHDOG_USEC", "30000000", 1);
  }
  ~NotifySocket() {
    ::unsetenv("NOTIFY_SOCKET");
    ::unsetenv("WATCHDOG_USEC");
    ::close(socket_);
  }
  NotifySocket(const NotifySocket&) = delete;
  NotifySocket& operator=(const NotifySocket&) = delete;
  void forget() { all_.clear(); }
  bool heard(const std::string& text) {
    return test::await(20s, [&] {
      char piece[1024];
      for (ssize_t got = 0; (got = ::recv(socket_, piece, sizeof piece, MSG_DONTWAIT)) > 0;) {
        all_ += std::string(piece, static_cast<std::size_t>(got)) + "\n";
      }
      return all_.find(text) != std::string::npos;
    });
  }

 private:
  Folder folder_;
  std::string path_;
  int socket_;
  std::string all_;
};

#ifdef IRIS_SYSTEMD
TEST_CASE("systemd hears READY, STATUS, the watchdog and STOPPING") {
  NotifySocket socket;
  Iris iris(plain(free_port()));
  REQUIRE(socket.heard("READY=1"));
  REQUIRE(socket.heard("STATUS=leader of 1 voters"));
  REQUIRE(socket.heard("WATCHDOG=1"));
  iris.signal(SIGTERM);
  REQUIRE(socket.heard("STOPPING=1"));
  REQUIRE(iris.exit_code() == 0);
}

TEST_CASE("systemd's status tells of certificates that were no good at a reload") {
  NotifySocket socket;
  const Folder folder;
  const Issued authority = issue({.common_name = "CA"}, nullptr);
  const TlsPaths paths =
      write_files(folder, "n", issue({.alternative_names = "DNS:Iris"}, &authority), authority);
  Iris iris({"-nostela", "-listen", "127.0.0.1", "-port", std::to_string(free_port()), "-cert",
             paths.certificate, "-key", paths.key, "-ca", paths.ca},
            &folder);
  REQUIRE(socket.heard("STATUS=leader of 1 voters\n"));
  const std::string good = read_text(paths.ca);
  write_file(paths.ca, "nonsense");
  iris.signal(SIGHUP);
  REQUIRE(socket.heard("STATUS=leader of 1 voters; new certificates are not in use: " + paths.ca +
                       ": holds no PEM certificate of a CA"));
  write_file(paths.ca, good);
  iris.await_log("certificates reloaded");  // without a signal: files are looked at
  socket.forget();
  REQUIRE(socket.heard("STATUS=leader of 1 voters\n"));
}

TEST_CASE("a follower's status names its leader, and what it lacks without one") {
  const std::uint16_t ports[] = {free_port(), free_port()};
  const auto at = [&](int i) { return "127.0.0.1:" + std::to_string(ports[i]); };
  auto leader = std::make_unique<Iris>(plain(ports[0]));
  leader->await_log("this node leads");
  NotifySocket socket;
  Iris follower(plain(ports[1]) + std::vector<std::string>{"-join", at(0)});
  REQUIRE(socket.heard("STATUS=following the leader at " + at(0)));
  REQUIRE(test::await(20s, [&] { return status(ports[0]).voters() == 2; }));
  leader->signal(SIGKILL);
  follower.await_log("no leader: nothing can be written, and reads wait");
  REQUIRE(socket.heard("STATUS=no leader: 1 of 2 voters reached, 2 needed; no connection to "));
}
#endif

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
