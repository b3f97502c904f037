// iris: the server. Reads the command line, then is a Server until the end, or does one of the
// things that are done to a node that does not run.
#include <cstdio>
#include <string>
#include <vector>

#include "src/log.h"
#include "src/offline.h"
#include "src/options.h"
#include "src/server.h"
#include "src/version.h"

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
      std::fputs(iris::help_text().c_str(), stdout);
      return iris::exit_ok;
    case iris::CommandLine::Action::print_version:
      std::printf("iris %s\n", iris::version);
      return iris::exit_ok;
    case iris::CommandLine::Action::run:
      break;
  }
  iris::set_log_level(line->options.log_level);
  return iris::Server(line->options).run();
}
