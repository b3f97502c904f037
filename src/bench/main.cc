// iris-bench: reads its line, connects, fills, loads, reports.
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "raft/check.h"
#include "src/bench/connections.h"
#include "src/bench/echo.h"
#include "src/bench/load.h"
#include "src/bench/options.h"
#include "src/bench/report.h"
#include "src/bench/watch.h"

namespace iris::bench {
namespace {

using namespace std::chrono_literals;

enum ExitCode : int {
  exit_ok = 0,
  exit_bad_result = 1,
  exit_usage = 2,
  exit_unreachable = 3,
  exit_output = 74,
  exit_interrupted = 130,
};

constexpr auto progress_every = 500ms;

std::atomic<bool> interrupted = false;
static_assert(std::atomic<bool>::is_always_lock_free);  // set by a signal handler

void interrupt(int) {
  // A second signal does not wait for the calls under way.
  if (interrupted.exchange(true)) std::_Exit(exit_interrupted);
}

std::string progress_text(const Load::Progress& progress, std::uint64_t answered_before) {
  char text[96];
  const double rate = static_cast<double>(progress.answered - answered_before) /
                      std::chrono::duration<double>(progress_every).count();
  std::snprintf(text, sizeof text, "%s %5.1f s  %8.0f ops/s  %llu errors",
                progress.warming_up ? "warming up" : "measuring", progress.seconds, rate,
                static_cast<unsigned long long>(progress.failed));
  return text;
}

std::unique_ptr<LoadResult> run(const Options& options, const LoadPlan& plan,
                                std::vector<Connection>& connections) {
  Load load(options, plan, connections);
  load.start();
  std::uint64_t answered = 0;
  while (!load.wait(progress_every)) {
    const auto progress = load.progress();
    show_progress(progress_text(progress, answered));
    answered = progress.answered;
    if (interrupted) load.stop();
  }
  show_progress("");
  return load.result();
}

std::uint64_t failures(const Tally& tally) {
  std::uint64_t count = 0;
  for (std::size_t code = 1; code < codes; ++code) count += tally.ended[code];
  return count;
}

ExitCode run_load(const Options& options) {
  auto connections = connect_all(options);
  if (!connections) {
    say(connections.error().text);
    return connections.error().code == Errc::unavailable ? exit_unreachable : exit_usage;
  }
  if (options.fill && options.mode != Mode::set) {
    const auto filled = run(options, {.in_order = true, .operations = options.keys}, *connections);
    if (const auto failed = failures(filled->tally); failed > 0 && !interrupted) {
      say(std::to_string(failed) + " of " + std::to_string(options.keys) +
          " keys could not be stored before: " + errors_to_json(filled->tally.ended).dump());
    }
  }
  const std::uint32_t reads = options.mode == Mode::get   ? 100
                              : options.mode == Mode::mix ? options.read_percent
                                                          : 0;
  const auto result = run(options,
                          {.read_percent = reads,
                           .rate = options.rate,
                           .warm_up = options.warm_up,
                           .duration = options.duration,
                           .operations = options.operations},
                          *connections);
  show_summary(*result);
  if (const auto unsent = result->tally.unsent.load(); unsent > 0) {
    say(std::to_string(unsent) +
        " operations were due and never sent: the cluster did not keep up with -rate");
  }
  if (!print_line(to_json(options, *result))) return exit_output;
  if (interrupted) return exit_interrupted;
  return result->tally.ended[0] > 0 ? exit_ok : exit_bad_result;
}

ExitCode run_listeners(const Options& options) {
  auto connections = connect_all(options);
  if (!connections) {
    say(connections.error().text);
    return connections.error().code == Errc::unavailable ? exit_unreachable : exit_usage;
  }
  const auto run = run_watch(options, *connections, interrupted);
  if (!run) {
    show_progress("");
    say(run.error().text);
    return interrupted ? exit_interrupted : exit_unreachable;
  }
  const WatchResult& result = **run;
  show_summary(result);
  if (!print_line(to_json(options, result))) return exit_output;
  if (result.lost + result.duplicated + result.reordered > 0) {
    say(std::to_string(result.lost) + " updates lost, " + std::to_string(result.duplicated) +
        " duplicated, " + std::to_string(result.reordered) + " reordered");
    return exit_bad_result;
  }
  if (result.interrupted) return exit_interrupted;
  return result.written > 0 ? exit_ok : exit_bad_result;
}

ExitCode main(std::span<const std::string> words) {
  const auto parsed = parse_options(words);
  if (!parsed) {
    say(parsed.error().text);
    say("iris-bench -h tells more");
    return exit_usage;
  }
  if (!parsed->help.empty()) {
    std::fputs(parsed->help.c_str(), stdout);
    return std::fflush(stdout) == 0 ? exit_ok : exit_output;
  }
  const Options& options = parsed->options;
  if (options.mode == Mode::echo) {
    if (const Status served = run_echo(options); !served) {
      say(served.error().text);
      return served.error().code == Errc::io ? exit_unreachable : exit_usage;
    }
    return exit_ok;
  }
  std::signal(SIGINT, interrupt);
  std::signal(SIGTERM, interrupt);
  return options.mode == Mode::watch ? run_listeners(options) : run_load(options);
}

}  // namespace
}  // namespace iris::bench

int main(int argc, char** argv) {
  // gRPC's own lines on stderr are left out: broken connections are counted among the errors.
  ::setenv("GRPC_VERBOSITY", "NONE", 0);
  const std::vector<std::string> words(argv + 1, argv + argc);
  return iris::bench::main(words);
}
