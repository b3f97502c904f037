// Exit codes of iris-cli. Scripts rely on them: none changes its meaning. Constants only.
#pragma once

#include "src/client/client.h"

namespace iris::cli {

enum ExitCode : int {
  exit_ok = 0,
  exit_not_found = 1,  // or a condition that is false
  exit_usage = 2,
  exit_unreachable = 3,  // no node, or no leader: nothing was done
  exit_unknown = 4,      // a write that may have been done
  exit_refused = 5,      // TLS, rights
  exit_conflict = 6,     // -if-rev did not hold
  exit_limit = 7,
  exit_not_now = 8,    // a membership change that the state of the cluster forbids
  exit_output = 74,    // what was to be written could not be
  exit_hung_up = 129,  // SIGHUP
  exit_interrupted = 130,
  exit_pipe = 141,  // nobody reads the output any more
  exit_terminated = 143,
};

[[nodiscard]] inline ExitCode exit_code(client::Code code) {
  switch (code) {
    case client::Code::invalid_argument:
      return exit_usage;
    case client::Code::not_found:
      return exit_not_found;
    case client::Code::conflict:
      return exit_conflict;
    case client::Code::limit:
    case client::Code::too_long:
      return exit_limit;
    case client::Code::not_done:
      return exit_unreachable;
    case client::Code::unknown:
      return exit_unknown;
    case client::Code::refused:
    case client::Code::unsupported:
      return exit_refused;
    case client::Code::file:
      return exit_output;
    case client::Code::not_now:
      return exit_not_now;
  }
  return exit_unknown;
}

}  // namespace iris::cli
