// The program iris as a service: what it says to systemd, and the sockets that it takes from it.
// tests/systemd runs the same under a real one.
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <future>

#include "tests/api/iris_process.h"

namespace iris::test {
namespace {

using namespace std::chrono_literals;

#ifdef IRIS_SYSTEMD
// What systemd would hear.
class NotifySocket {
 public:
  // `watchdog_us`: WATCHDOG_USEC; empty: no watchdog.
  explicit NotifySocket(const std::string& watchdog_us = "30000000")
      : path_(folder_ / "notify"), socket_(::socket(AF_UNIX, SOCK_DGRAM, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path_.copy(static_cast<char*>(address.sun_path), sizeof address.sun_path - 1);
    REQUIRE(::bind(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
    ::setenv("NOTIFY_SOCKET", path_.c_str(), 1);
    if (!watchdog_us.empty()) ::setenv("WATCHDOG_USEC", watchdog_us.c_str(), 1);
  }
  ~NotifySocket() {
    ::unsetenv("NOTIFY_SOCKET");
    ::unsetenv("WATCHDOG_USEC");
    ::close(socket_);
  }
  NotifySocket(const NotifySocket&) = delete;
  NotifySocket& operator=(const NotifySocket&) = delete;
  void forget() { all_.clear(); }
  const std::string& all() {
    char piece[1024];
    for (ssize_t got = 0; (got = ::recv(socket_, piece, sizeof piece, MSG_DONTWAIT)) > 0;) {
      all_ += std::string(piece, static_cast<std::size_t>(got)) + "\n";
    }
    return all_;
  }
  bool heard(const std::string& text) {
    return test::await(20s, [&] { return all().find(text) != std::string::npos; });
  }
  int count(const std::string& text) {
    int found = 0;
    all();
    for (std::size_t at = all_.find(text); at != std::string::npos; at = all_.find(text, at + 1)) {
      ++found;
    }
    return found;
  }

 private:
  Folder folder_;
  std::string path_;
  int socket_;
  std::string all_;
};

TEST_CASE("systemd hears of the recovery, then READY, STATUS, the watchdog and STOPPING") {
  NotifySocket socket;
  const Folder folder;
  const std::uint16_t port = free_port();
  for (int life = 0; life < 2; ++life) {
    socket.forget();
    Iris iris(plain(port), &folder);
    REQUIRE(socket.heard("READY=1"));
    REQUIRE(socket.heard("STATUS=leader of 1 voter\n"));
    REQUIRE(socket.heard("WATCHDOG=1"));
    const std::size_t ready = socket.all().find("READY=1");
    REQUIRE(socket.all().find("EXTEND_TIMEOUT_USEC=60000000\n") < ready);
    REQUIRE(socket.all().find("STATUS=recovering the data in raftDir\n") < ready);
    REQUIRE(socket.all().find("WATCHDOG=1") > ready);
    iris.signal(SIGTERM);
    REQUIRE(socket.heard("STOPPING=1"));
    REQUIRE(iris.exit_code() == 0);
  }
}

TEST_CASE("the watchdog is fed at half of its time, and not at all where there is none") {
  {
    // One a second would be 20 before await() gives up.
    NotifySocket impatient("200000");
    Iris iris(plain(free_port()));
    REQUIRE(test::await(20s, [&] { return impatient.count("WATCHDOG=1") >= 40; }));
  }
  NotifySocket none("");
  Iris iris(plain(free_port()));
  REQUIRE(none.heard("STATUS=leader of 1 voter\n"));
  iris.signal(SIGTERM);
  REQUIRE(iris.exit_code() == 0);
  REQUIRE(none.heard("STOPPING=1"));
  REQUIRE(none.count("WATCHDOG=1") == 0);
}

TEST_CASE("systemd's status says why a start failed, and whom a node without a cluster asks") {
  NotifySocket socket;
  Iris bad({"-nostela", "-port", std::to_string(free_port())});
  REQUIRE(bad.exit_code() == 78);
  REQUIRE(socket.heard("STATUS=cannot start: server.crt: "));
  Iris seeking(plain(free_port()) + std::vector<std::string>{"-join", "127.0.0.1:9,127.0.0.1:8"});
  REQUIRE(socket.heard("STATUS=waiting to join a cluster by way of 127.0.0.1:9, 127.0.0.1:8\n"));
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
  REQUIRE(socket.heard("STATUS=leader of 1 voter\n"));
  const std::string good = read_text(paths.ca);
  write_file(paths.ca, "nonsense");
  iris.signal(SIGHUP);
  REQUIRE(socket.heard("STATUS=leader of 1 voter; new certificates are not in use: " + paths.ca +
                       ": holds no PEM certificate of a CA"));
  REQUIRE(socket.heard("RELOADING=1\nMONOTONIC_USEC="));
  write_file(paths.ca, good);
  iris.await_log("certificates reloaded");  // without a signal: files are looked at
  socket.forget();
  REQUIRE(socket.heard("STATUS=leader of 1 voter\n"));
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

// The sockets of a .socket unit, which outlive the service.
class SocketUnit {
 public:
  explicit SocketUnit(std::uint16_t port) {
    for (int next = 0; next < 2; ++next) add(static_cast<std::uint16_t>(port + next));
  }
  ~SocketUnit() {
    for (const int socket : sockets_) ::close(socket);
  }
  SocketUnit(const SocketUnit&) = delete;
  SocketUnit& operator=(const SocketUnit&) = delete;

  // `count`: LISTEN_FDS.
  [[nodiscard]] Process start(const std::vector<std::string>& flags, const std::string& log,
                              const std::string& folder, int count = 2) const {
    const std::vector<std::string> shell{
        "/bin/sh", "-c",
        "LISTEN_PID=$$ LISTEN_FDS=" + std::to_string(count) + " exec \"$0\" \"$@\"",
        std::string(std::getenv("IRIS_BINARIES")) + "/iris"};
    return Process::start(shell + flags, log, folder, sockets_);
  }

 private:
  void add(std::uint16_t port) {
    const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int on = 1;
    ::setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    REQUIRE(::bind(socket, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
    REQUIRE(::listen(socket, SOMAXCONN) == 0);
    sockets_.push_back(::fcntl(socket, F_DUPFD_CLOEXEC, 100));
    ::close(socket);
  }
  std::vector<int> sockets_;
};

TEST_CASE(
    "a node on systemd's sockets: calls of the time between two lives wait and are answered") {
  const Folder folder;
  const std::string log = folder / "log";
  const std::uint16_t port = free_port();
  const SocketUnit unit(port);
  const auto await_said = [&](const std::string& text) {
    REQUIRE(test::await(20s, [&] { return read_text(log).find(text) != std::string::npos; }));
  };
  Process first = unit.start(plain(port), log, folder / "");
  await_said("\"sockets_of_systemd\":true");
  REQUIRE(set(port, "a").ok());
  first.signal(SIGTERM);
  REQUIRE(first.wait(20s) == 0);

  auto waiting = std::async(std::launch::async, [port] { return set(port, "b"); });
  Process second = unit.start(plain(port), log, folder / "");
  const grpc::Status done = waiting.get();
  INFO(done.error_message());
  REQUIRE(done.ok());
  second.signal(SIGTERM);
  REQUIRE(second.wait(20s) == 0);
}

TEST_CASE("a second node joins through raft ports that are systemd's") {
  const Folder folders[2];
  const std::uint16_t ports[] = {free_port(), free_port()};
  const SocketUnit units[] = {SocketUnit(ports[0]), SocketUnit(ports[1])};
  const Process founder = units[0].start(plain(ports[0]), folders[0] / "log", folders[0] / "");
  REQUIRE(test::await(20s, [&] { return status(ports[0]).role() == "leader"; }));
  const Process joiner = units[1].start(
      plain(ports[1]) + std::vector<std::string>{"-join", "127.0.0.1:" + std::to_string(ports[0])},
      folders[1] / "log", folders[1] / "");
  REQUIRE(test::await(20s, [&] { return status(ports[0]).voters() == 2; }));
}

TEST_CASE("sockets of systemd that do not fit are named (exit 78)") {
  const Folder folder;
  const std::string log = folder / "log";
  const std::uint16_t port = free_port();
  const SocketUnit unit(port);
  Process other = unit.start(plain(static_cast<std::uint16_t>(port - 1)), log, folder / "");
  REQUIRE(other.wait(20s) == 78);
  REQUIRE(read_text(log).find("is a socket at port " + std::to_string(port + 1)) !=
          std::string::npos);
  Process many = unit.start(plain(port), log, folder / "", 65);
  REQUIRE(many.wait(20s) == 78);
  REQUIRE(read_text(log).find("it takes a number from 1 to 64") != std::string::npos);
  REQUIRE_FALSE(std::filesystem::exists(folder / "raftDir"));  // before anything is made
}

}  // namespace
}  // namespace iris::test
