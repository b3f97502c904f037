// iris-sim: the command line of the simulator.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>

#include "tests/sim/campaign.h"
#include "tests/sim/random.h"
#include "tests/sim/run.h"

namespace iris::sim {
namespace {

constexpr std::string_view usage =
    "usage: iris-sim [--seeds N] [--first S] [--time 60s] [--jobs J] [--keep-going]   many seeds\n"
    "       iris-sim --seed S [--trace]                                              one seed\n"
    "       iris-sim --shrink S                      the least options that still fail\n"
    "narrowing: [--without FAULT,...] [--safety-ms N] [--calls N] [--subscribers N] "
    "[--check-everything]\n"
    "store: [--store model|rocks]: the model, or the production store on a file system that knows "
    "what\n"
    "was synced, and the model beside it; slower, and its traces are not repeated exactly\n"
    "Without --first a campaign begins at a random seed and prints it. Exit code 1: a seed "
    "failed,\n"
    "2: wrong usage.\n";

struct CommandLine {
  CampaignOptions campaign;
  std::optional<std::uint64_t> first;
  std::optional<std::uint64_t> seed;
  bool shrink = false;
  bool trace = false;
  std::string without;
  std::uint64_t safety_ms = 0;
  std::uint64_t calls = 0;
  std::optional<std::uint64_t> subscribers;
  bool check_everything = false;
  bool rocks = false;
};

[[noreturn]] void refuse(const std::string& why) {
  std::fprintf(stderr, "iris-sim: %s\n%s", why.c_str(), std::string(usage).c_str());
  std::exit(2);
}

std::uint64_t number_of(const std::string& flag, const std::string& text) {
  char* end = nullptr;
  const std::uint64_t number = std::strtoull(text.c_str(), &end, 10);
  const bool seconds = flag == "--time" && std::strcmp(end, "s") == 0;
  if (text.empty() || (*end != '\0' && !seconds))
    refuse(flag + " takes a number, not '" + text + "'");
  return number;
}

CommandLine parse(int argc, char** argv) {
  CommandLine line;
  for (int i = 1; i < argc; ++i) {
    const std::string flag = argv[i];
    const auto text = [&] {
      if (i + 1 == argc) refuse(flag + " needs a value");
      return std::string(argv[++i]);
    };
    const auto number = [&] { return number_of(flag, text()); };
    if (flag == "--help" || flag == "-help" || flag == "-h") {
      std::fputs(std::string(usage).c_str(), stdout);
      std::exit(0);
    } else if (flag == "--seeds") {
      line.campaign.seeds = number();
    } else if (flag == "--first") {
      line.first = number();
    } else if (flag == "--time") {
      line.campaign.time_s = number();
    } else if (flag == "--jobs") {
      line.campaign.jobs = static_cast<unsigned>(number());
      if (line.campaign.jobs < 1 || line.campaign.jobs > 64) refuse("--jobs takes 1 to 64");
    } else if (flag == "--keep-going") {
      line.campaign.keep_going = true;
    } else if (flag == "--seed" || flag == "--shrink") {
      line.seed = number();
      line.shrink = flag == "--shrink";
    } else if (flag == "--trace") {
      line.trace = true;
    } else if (flag == "--without") {
      line.without = text();
    } else if (flag == "--safety-ms") {
      line.safety_ms = number();
    } else if (flag == "--calls") {
      line.calls = number();
    } else if (flag == "--subscribers") {
      line.subscribers = number();
    } else if (flag == "--store") {
      const std::string which = text();
      if (which != "model" && which != "rocks") refuse("--store takes model or rocks");
      line.rocks = which == "rocks";
    } else if (flag == "--check-everything") {
      line.check_everything = true;
    } else {
      refuse("unknown flag '" + flag + "'");
    }
  }
  return line;
}

void narrow(const CommandLine& line, SimOptions& options) {
  const Status known = remove_faults(options, line.without);
  if (!known) refuse(known.error().text);
  if (line.safety_ms > 0) options.safety_us = line.safety_ms * 1000;
  if (line.calls > 0) options.calls_max = line.calls;
  if (line.subscribers) options.subscribers = *line.subscribers;
  if (line.check_everything) options.check_everything = true;
  options.rocks = line.rocks;
}

std::string replay_of(const CommandLine& line) {
  std::string text;
  if (!line.without.empty()) text += " --without " + line.without;
  if (line.safety_ms > 0) text += " --safety-ms " + std::to_string(line.safety_ms);
  if (line.calls > 0) text += " --calls " + std::to_string(line.calls);
  if (line.subscribers) text += " --subscribers " + std::to_string(*line.subscribers);
  if (line.check_everything) text += " --check-everything";
  if (line.rocks) text += " --store rocks";
  return text;
}

int one_seed(const CommandLine& line) {
  SimOptions options = draw_options(*line.seed);
  narrow(line, options);
  if (line.shrink) return shrink(options) ? 1 : 0;
  std::printf("seed %llu: %s\n", static_cast<unsigned long long>(options.seed),
              describe(options).c_str());
  if (line.trace) {
    // In this process, so that a debugger can be with it.
    const Verdict verdict = run(options, true);
    std::printf("passed, trace hash %016llx\n", static_cast<unsigned long long>(verdict.hash));
    return 0;
  }
  const std::string text = run_apart(options);
  std::fprintf(stderr, "%s", text.c_str());
  std::printf("%s\n", text.empty() ? "passed" : "failed");
  return text.empty() ? 0 : 1;
}

int campaign(CommandLine& line) {
  if (line.campaign.seeds == 0 && line.campaign.time_s == 0) line.campaign.seeds = 100;
  const auto now = std::chrono::system_clock::now().time_since_epoch().count();
  line.campaign.first = line.first.value_or(1 + (mix(static_cast<std::uint64_t>(now)) >> 24));
  line.campaign.replay = replay_of(line);
  line.campaign.narrow = [&line](SimOptions& options) { narrow(line, options); };
  std::fprintf(stderr, "iris-sim --first %llu --jobs %u\n",
               static_cast<unsigned long long>(line.campaign.first), line.campaign.jobs);
  return run_campaign(line.campaign) ? 0 : 1;
}

}  // namespace
}  // namespace iris::sim

int main(int argc, char** argv) {
  iris::sim::CommandLine line = iris::sim::parse(argc, argv);
  return line.seed ? iris::sim::one_seed(line) : iris::sim::campaign(line);
}
