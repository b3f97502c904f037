#include "tests/cluster/process.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <thread>
#include <utility>

#include "raft/check.h"

namespace iris::test {

void pause_between_looks() { std::this_thread::sleep_for(Milliseconds(5)); }

Process::~Process() { kill_now(); }

Process& Process::operator=(Process&& other) noexcept {
  if (this != &other) {
    kill_now();
    pid_ = std::exchange(other.pid_, -1);
    ended_ = other.ended_;
  }
  return *this;
}

Process Process::start(const std::vector<std::string>& argv, const std::string& log,
                       const std::string& folder, const std::vector<int>& handed_over) {
  std::vector<char*> pointers;
  pointers.reserve(argv.size() + 1);
  for (const auto& argument : argv) pointers.push_back(const_cast<char*>(argument.c_str()));
  pointers.push_back(nullptr);
  const pid_t parent = getpid();
  const pid_t pid = fork();
  CHECK(pid >= 0);
  if (pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(127);
    const int output = open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    const int input = open("/dev/null", O_RDONLY);
    if (output < 0 || input < 0 || chdir(folder.c_str()) != 0) _exit(127);
    dup2(input, 0);
    dup2(output, 1);
    dup2(output, 2);
    int next = 3;
    for (const int descriptor : handed_over) dup2(descriptor, next++);
    close_range(static_cast<unsigned>(next), ~0U, 0);
    execv(pointers[0], pointers.data());
    _exit(127);
  }
  Process process;
  process.pid_ = pid;
  return process;
}

bool Process::running() {
  if (pid_ < 0) return false;
  return !wait(Milliseconds(0)).has_value();
}

void Process::signal(int number) const {
  if (pid_ > 0) ::kill(pid_, number);
}

std::optional<int> Process::wait(Milliseconds limit) {
  if (pid_ < 0) return ended_;
  const auto look = [&] {
    int status = 0;
    const pid_t got = waitpid(pid_, &status, WNOHANG);
    if (got != pid_) return false;
    ended_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    pid_ = -1;
    return true;
  };
  if (!await(limit, look)) return std::nullopt;
  return ended_;
}

void Process::kill_now() {
  if (pid_ < 0) return;
  signal(SIGKILL);
  int status = 0;
  waitpid(pid_, &status, 0);
  ended_ = 128 + SIGKILL;
  pid_ = -1;
}

}  // namespace iris::test
