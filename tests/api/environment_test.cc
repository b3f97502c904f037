// The program iris where the system gives it little: few descriptors, little memory, no /proc.
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <condition_variable>
#include <csignal>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <iterator>
#include <mutex>

#include "store/lane.h"
#include "tests/api/iris_process.h"

namespace iris::test {
namespace {

// The program behind a limit of the shell; of `shell`, where one is named.
class Limited {
 public:
  Limited(const std::string& limit, std::uint16_t port, const std::vector<std::string>& more = {},
          std::vector<std::string> shell = {}) {
    std::string line = limit + "; exec " + std::string(std::getenv("IRIS_BINARIES")) + "/iris";
    for (const auto& word : plain(port) + more) line += " " + word;
    process_ = Process::start(std::move(shell) + std::vector<std::string>{"/bin/sh", "-c", line},
                              folder_ / "log", folder_ / "");
  }
  [[nodiscard]] bool said(const std::string& text) const {
    return read_text(folder_ / "log").find(text) != std::string::npos;
  }
  void await_log(const std::string& text) const {
    if (!test::await(20s, [&] { return said(text); })) FAIL(read_text(folder_ / "log"));
  }
  int exit_code() {
    const auto code = process_.wait(20s);
    if (!code) FAIL("still runs:\n" << read_text(folder_ / "log"));
    return *code;
  }
  void signal(int number) { process_.signal(number); }

 private:
  Folder folder_;
  Process process_;
};

// A TCP connection that says nothing.
class IdleConnection {
 public:
  explicit IdleConnection(std::uint16_t port) : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(port);
    static_cast<void>(::connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address));
  }
  ~IdleConnection() { ::close(socket_); }
  IdleConnection(const IdleConnection&) = delete;
  IdleConnection& operator=(const IdleConnection&) = delete;

 private:
  int socket_;
};

TEST_CASE("a soft limit of descriptors is raised, and the log says what is kept back") {
  Limited iris("ulimit -S -n 100; ulimit -H -n 2000", free_port());
  iris.await_log("\"serving\"");
  REQUIRE(
      iris.said(R"("limit":2000,"limit_before":100,"for_store_and_peers":960,"for_clients":1040)"));
  iris.signal(SIGTERM);
  REQUIRE(iris.exit_code() == 0);
}

// Link-local addresses are the same on every link; the interface tells which is meant. Needs a
// network of its own, which not every place allows.
TEST_CASE("a node listens on an address with its interface") {
  const std::string address = "ip link set lo up && ip addr add fe80::1/64 dev lo nodad";
  if (std::system(("unshare -n sh -c '" + address + "' >/dev/null 2>&1").c_str()) != 0) {
    std::printf("skipped: this needs a network of its own, IPv6 and iproute2\n");
    return;
  }
  Limited iris(address, free_port(), {"-listen", "fe80::1%lo"}, {"/usr/bin/unshare", "-n"});
  iris.await_log("\"serving\"");
  iris.signal(SIGTERM);
  REQUIRE(iris.exit_code() == 0);
}

TEST_CASE("with -notuning the limit stays as it is") {
  Limited iris("ulimit -S -n 200; ulimit -H -n 2000", free_port(), {"-notuning"});
  iris.await_log("\"serving\"");
  REQUIRE(iris.said(R"("limit":200,"limit_before":200)"));
}

// As under SystemCallFilter=~@resources of a unit: each of these calls ends the process.
void forbid_resource_calls() {
  constexpr auto number = static_cast<std::uint32_t>(offsetof(seccomp_data, nr));
  // A new limit is prlimit64's third argument; to ask for the present one is allowed.
  constexpr auto new_limit = static_cast<std::uint32_t>(offsetof(seccomp_data, args[2]));
  sock_filter rules[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, number),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_setpriority, 6, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_sched_setscheduler, 5, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_setrlimit, 4, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_prlimit64, 0, 2),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, new_limit),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
  };
  const sock_fprog filter{static_cast<unsigned short>(std::size(rules)), rules};
  const bool set = ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
                   ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
  if (!set) ::_exit(99);
}

TEST_CASE("with -notuning a node lives where limits and priorities may not be changed") {
  const Folder folder;
  const std::uint16_t port = free_port();
  const std::string log = folder / "log";
  std::vector<std::string> words = plain(port) + std::vector<std::string>{"-notuning"};
  words.insert(words.begin(), std::string(std::getenv("IRIS_BINARIES")) + "/iris");
  std::vector<char*> argv;
  for (auto& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  const pid_t child = ::fork();
  if (child == 0) {
    const int file = ::open(log.c_str(), O_CREAT | O_WRONLY | O_APPEND, 0600);
    ::dup2(file, STDOUT_FILENO);
    ::dup2(file, STDERR_FILENO);
    if (::chdir((folder / "").c_str()) != 0) ::_exit(99);
    forbid_resource_calls();
    ::execv(argv[0], argv.data());
    ::_exit(99);
  }
  const bool serves =
      test::await(20s, [&] { return read_text(log).find("this node leads") != std::string::npos; });
  bool written = serves;
  const auto end = Clock::now() + 1s;  // busy enough for another scheduling policy
  while (written && Clock::now() < end) written = set(port, "key").ok();
  ::kill(child, SIGTERM);
  int how = 0;
  REQUIRE(::waitpid(child, &how, 0) == child);
  CAPTURE(read_text(log));
  REQUIRE(serves);
  REQUIRE(written);
  REQUIRE(WIFEXITED(how));
  REQUIRE(WEXITSTATUS(how) == 0);
}

TEST_CASE("too few descriptors are refused with a sentence (exit 1)") {
  Limited iris("ulimit -n 60", free_port());
  REQUIRE(iris.exit_code() == 1);
  REQUIRE(iris.said("this process may open 60 files and connections, and 64 are needed"));
}

TEST_CASE("a node with few descriptors serves, and connections to its raft port take few") {
  const std::uint16_t port = free_port();
  Limited iris("ulimit -n 128", port);
  iris.await_log("\"serving\"");
  std::vector<std::unique_ptr<IdleConnection>> idle;
  for (int i = 0; i < 200; ++i) idle.push_back(std::make_unique<IdleConnection>(port + 1));
  pb::SetValueRequest request;
  request.set_source("s");
  request.set_value(std::string(1u << 20, 'x'));
  for (int i = 0; i < 20; ++i) {
    request.set_key(std::to_string(i));
    pb::SetValueResponse response;
    REQUIRE(iris_at(port)->SetValue(context().get(), request, &response).ok());
  }
}

TEST_CASE("memory for no more threads is one sentence and exit 1, no abort") {
  Limited iris("ulimit -v 300000", free_port());
  REQUIRE(iris.exit_code() == 1);
  REQUIRE(iris.said("this node cannot go on"));
}

// Where /proc is missing the kernel takes no name for another thread. Nor does it take a long one.
TEST_CASE("a thread that cannot be named works all the same") {
  std::mutex mutex;
  std::condition_variable wake;
  bool done = false;
  store::Lane<int>::Hooks hooks;
  hooks.run = [&](std::vector<int>&, store::Answers&) {
    const std::lock_guard lock(mutex);
    done = true;
    wake.notify_one();
  };
  hooks.post = [](store::Answers) {};
  store::Lane<int> lane("a name of more than 15 characters", 1, std::move(hooks));
  REQUIRE(lane.push(1));
  std::unique_lock lock(mutex);
  REQUIRE(wake.wait_for(lock, 20s, [&] { return done; }));
}

}  // namespace
}  // namespace iris::test
