#include "src/cli/hook.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>

#include "raft/check.h"
#include "src/client/key_variable.h"

extern char** environ;  // NOLINT(readability-redundant-declaration): POSIX declares it nowhere

namespace iris::cli {
namespace {

std::string error_text(int error) { return std::strerror(error); }

// A file in memory with the value, read from its beginning; unlike a pipe it never blocks us when
// the command does not read. -1: errno.
int value_file(std::string_view value) {
  const int file = ::memfd_create("iris-value", MFD_CLOEXEC);
  if (file < 0) return -1;
  while (!value.empty()) {
    const ssize_t count = ::write(file, value.data(), value.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) {
      const int error = errno;
      ::close(file);
      errno = error;
      return -1;
    }
    value.remove_prefix(static_cast<std::size_t>(count));
  }
  ::lseek(file, 0, SEEK_SET);
  return file;
}

// Ours, with `variables` in place of those of the same name.
std::vector<std::string> environment(const std::vector<HookVariable>& variables) {
  std::vector<std::string> all;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    bool replaced = false;
    for (const auto& variable : variables) {
      replaced = replaced || (text.starts_with(variable.name) &&
                              text.substr(variable.name.size()).starts_with('='));
    }
    if (!replaced) all.emplace_back(text);
  }
  for (const auto& variable : variables) {
    if (variable.value) all.push_back(std::string(variable.name) + "=" + *variable.value);
  }
  return all;
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> all;
  all.reserve(texts.size() + 1);
  for (auto& text : texts) all.push_back(text.data());
  all.push_back(nullptr);
  return all;
}

// 0, or the error. The command gets the signals this process holds back, and stdin from `file`.
int spawn(std::vector<std::string> command, std::vector<std::string> variables, int file,
          pid_t& child) {
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_t actions;
  sigset_t none;
  sigset_t broken_pipe;
  ::sigemptyset(&none);
  ::sigemptyset(&broken_pipe);
  ::sigaddset(&broken_pipe, SIGPIPE);
  ::posix_spawnattr_init(&attributes);
  ::posix_spawnattr_setsigmask(&attributes, &none);
  ::posix_spawnattr_setsigdefault(&attributes, &broken_pipe);
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, file, STDIN_FILENO);
  const auto arguments = pointers(command);
  const auto entries = pointers(variables);
  const int error = ::posix_spawnp(&child, command[0].c_str(), &actions, &attributes,
                                   arguments.data(), entries.data());
  ::posix_spawn_file_actions_destroy(&actions);
  ::posix_spawnattr_destroy(&attributes);
  return error;
}

}  // namespace

std::vector<HookVariable> hook_variables(const std::string& source, const std::string& key,
                                         const std::string& revision, const std::string& op) {
  const char* key_file = std::getenv(client::key_variable());
  std::optional<std::string> whole_key;
  if (key.find('\0') == std::string::npos) whole_key = key;
  return {{"IRIS_WATCH_SOURCE", source},
          {"IRIS_WATCH_KEY", whole_key},
          {"IRIS_WATCH_REVISION", revision},
          {"IRIS_WATCH_OP", op},
          {"IRIS_SOURCE", source},
          {"IRIS_KEY", whole_key},
          {"IRIS_REVISION", revision},
          {"IRIS_OP", op},
          {"IRIS_CLIENT_KEY", key_file != nullptr ? key_file : ""}};
}

std::optional<std::string> run_hook(const std::vector<std::string>& command,
                                    const std::vector<HookVariable>& variables,
                                    std::string_view value) {
  CHECK(!command.empty());
  const int file = value_file(value);
  if (file < 0) return "cannot pass the value on: " + error_text(errno);
  pid_t child = 0;
  const int error = spawn(command, environment(variables), file, child);
  ::close(file);
  if (error != 0) return "cannot run " + command[0] + ": " + error_text(error);
  int status = 0;
  while (::waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) return "cannot wait for " + command[0] + ": " + error_text(errno);
  }
  if (WIFSIGNALED(status)) {
    return command[0] + " was ended by signal " + std::to_string(WTERMSIG(status));
  }
  if (WEXITSTATUS(status) == 0) return std::nullopt;
  return command[0] + " exited " + std::to_string(WEXITSTATUS(status));
}

}  // namespace iris::cli
