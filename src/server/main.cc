// iris: the server. Reads the command line, then runs a Server until its end, or one of the offline
// commands.
#include <absl/synchronization/mutex.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "src/base/log.h"
#include "src/base/version.h"
#include "src/server/last_words.h"
#include "src/server/offline.h"
#include "src/server/options.h"
#include "src/server/server.h"

namespace {

int print(const std::string& text) {
  if (std::fputs(text.c_str(), stdout) >= 0 && std::fflush(stdout) == 0) return iris::exit_ok;
  std::fprintf(stderr, "iris: cannot write the output: %s\n", std::strerror(errno));
  return iris::exit_failure;
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  if (!arguments.empty() && iris::is_offline_command(arguments[0])) {
    return iris::run_offline(arguments);
  }
  const auto line = iris::parse_command_line(arguments);
  if (!line) {
    std::fprintf(stderr, "iris: %s\n", line.error().text.c_str());
    return iris::exit_usage;
  }
  switch (line->action) {
    case iris::CommandLine::Action::print_help:
      return print(iris::help_text());
    case iris::CommandLine::Action::print_version:
      return print(std::string("iris ") + iris::version + "\n");
    case iris::CommandLine::Action::run:
      break;
  }
  // Debian's abseil looks for lock cycles inside gRPC at every lock, also in release builds: that
  // was 1.1 of the 67 us of CPU time that a set takes on three nodes (perf, symbols of its own).
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  iris::say_last_words();
  iris::set_log_level(line->options.log_level);
  return iris::Server(line->options).run();
}
