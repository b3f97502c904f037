#include "tests/client/program.h"

#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdlib>

#include "raft/check.h"

namespace iris::test {
namespace {

using Clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> all;
  for (auto& text : texts) all.push_back(text.data());
  all.push_back(nullptr);
  return all;
}

// The reading and the writing end of what a program's output goes to.
std::array<int, 2> channel(bool terminal) {
  std::array<int, 2> ends{};
  if (!terminal) {
    CHECK(::pipe2(ends.data(), O_CLOEXEC) == 0);
    return ends;
  }
  CHECK(::openpty(&ends[0], &ends[1], nullptr, nullptr, nullptr) == 0);
  for (const int end : ends) CHECK(::fcntl(end, F_SETFD, FD_CLOEXEC) == 0);
  return ends;
}

}  // namespace

Program::Program(std::vector<std::string> arguments, How how) {
  const int input = ::memfd_create("input", MFD_CLOEXEC);
  CHECK(input >= 0);
  CHECK(::write(input, how.input.data(), how.input.size()) ==
        static_cast<ssize_t>(how.input.size()));
  CHECK(::lseek(input, 0, SEEK_SET) == 0);
  const auto out = channel(how.terminal);
  const auto err = channel(false);

  std::vector<std::string> variables;
  if (const char* path = std::getenv("PATH"); path != nullptr) {
    variables.push_back(std::string("PATH=") + path);
  }
  for (const auto& [name, value] : how.environment) variables.push_back(name + "=" + value);

  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions, err[1], STDERR_FILENO);
  const auto argument_pointers = pointers(arguments);
  const auto variable_pointers = pointers(variables);
  CHECK(::posix_spawn(&child_, arguments[0].c_str(), &actions, nullptr, argument_pointers.data(),
                      variable_pointers.data()) == 0);
  ::posix_spawn_file_actions_destroy(&actions);
  for (const int file : {input, out[1], err[1]}) ::close(file);
  out_file_ = out[0];
  err_file_ = err[0];
}

Program::~Program() {
  if (child_ > 0) {
    ::kill(child_, SIGKILL);
    ::waitpid(child_, nullptr, 0);
  }
  for (const int file : {out_file_, err_file_}) {
    if (file >= 0) ::close(file);
  }
}

void Program::signal(int number) const { CHECK(::kill(child_, number) == 0); }

bool Program::read_some(Clock::time_point deadline) {
  std::array<pollfd, 2> files = {{{out_file_, POLLIN, 0}, {err_file_, POLLIN, 0}}};
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now());
  if (out_file_ < 0 && err_file_ < 0) return false;
  if (::poll(files.data(), files.size(), static_cast<int>(std::max(left, 0ms).count())) <= 0) {
    return false;
  }
  std::array<char, 65536> buffer{};
  const auto take = [&](const pollfd& polled, int& file, std::string& text) {
    if (file < 0 || polled.revents == 0) return;
    const ssize_t count = ::read(file, buffer.data(), buffer.size());
    if (count > 0) {
      text.append(buffer.data(), static_cast<std::size_t>(count));
    } else {  // the end; a terminal calls it EIO
      ::close(file);
      file = -1;
    }
  };
  take(files[0], out_file_, out_);
  take(files[1], err_file_, err_);
  return true;
}

bool Program::await_out(std::size_t lines) {
  const auto deadline = Clock::now() + 10s;
  const auto count = [&] {
    return static_cast<std::size_t>(std::count(out_.begin(), out_.end(), '\n'));
  };
  while (count() < lines) {
    if (!read_some(deadline)) return false;
  }
  return true;
}

bool Program::await_err(const std::string& text) {
  const auto deadline = Clock::now() + 10s;
  while (err_.find(text) == std::string::npos) {
    if (!read_some(deadline)) return false;
  }
  return true;
}

Ended Program::wait() {
  const auto deadline = Clock::now() + 20s;
  while (read_some(deadline)) {
  }
  if (out_file_ >= 0 || err_file_ >= 0) ::kill(child_, SIGKILL);
  int status = 0;
  CHECK(::waitpid(child_, &status, 0) == child_);
  child_ = -1;
  return {WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), out_, err_};
}

Ended run(std::vector<std::string> arguments, Program::How how) {
  return Program(std::move(arguments), std::move(how)).wait();
}

}  // namespace iris::test
