// The cost of many listeners for a node: iris-bench watch against real nodes, and the memory these
// take. Each kind runs it twice, on fresh nodes, for comparison: with few listeners and many, or
// with all of them reading and one more that never does.
#include <algorithm>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <sstream>

#include "tests/cluster/chaos.h"
#include "tests/cluster/nodes.h"

namespace iris::test {

namespace {

using Json = nlohmann::json;
using Words = std::vector<std::string>;

// slow-reader: the memory that a listener which reads nothing may cost: its queue, its pages, the
// buffers of gRPC, and the usual difference of two runs.
constexpr double slow_reader_mib_max = 32;
constexpr double slow_reader_p99_factor_max = 2;
constexpr double slow_reader_p99_slack_ms = 20;
constexpr std::uint32_t slow_reader_listeners = 1'000;

// Resident memory of a process.
double resident_mib(pid_t process) {
  std::ifstream file("/proc/" + std::to_string(process) + "/status");
  std::string line;
  while (std::getline(file, line)) {
    if (line.starts_with("VmRSS:")) return std::stod(line.substr(6)) / 1024;
  }
  return 0;
}

double resident_mib(const Nodes& nodes) {
  double all = 0;
  for (std::size_t i = 0; i < nodes.size(); ++i) all += resident_mib(nodes.pid(i));
  return all;
}

struct Run {
  Json report;
  double peak_mib = 0;  // of all nodes together
  [[nodiscard]] double p99_ms() const { return report["delivery_us"]["p99"].get<double>() / 1000; }
  [[nodiscard]] bool exact() const {
    return report["lost"] == 0 && report["duplicated"] == 0 && report["reordered"] == 0;
  }
};

// iris-bench watch on three fresh nodes. nullopt: it failed, which is printed.
std::optional<Run> bench(const Arguments& arguments, const Words& more) {
  Nodes nodes({.count = 3, .tls = arguments.tls, .flags = {"-log-bytes", "16MiB"}});
  nodes.start_all();
  std::string addresses;
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    addresses += (i == 0 ? "" : ",") + nodes.address(i);
  }
  Words words = {binary("iris-bench"),
                 "watch",
                 "-addr",
                 addresses,
                 "-duration",
                 std::to_string(arguments.seconds) + "s"};
  if (nodes.tls().folder.empty()) {
    words.emplace_back("-insecure");
  } else {
    const std::string folder = nodes.tls().folder + "/";
    words.insert(words.end(), {"-ca", folder + "ca.crt", "-clientCert", folder + "client.crt",
                               "-clientKey", folder + "client.key"});
  }
  words.insert(words.end(), more.begin(), more.end());
  const std::string output = nodes.folder() + "/bench";
  std::ofstream(output, std::ios::trunc).close();
  Process process = Process::start(words, output, nodes.folder());
  Run run;
  const auto limit = std::chrono::seconds(arguments.seconds) + std::chrono::minutes(5);
  const bool ended = await(std::chrono::duration_cast<Milliseconds>(limit), [&] {
    run.peak_mib = std::max(run.peak_mib, resident_mib(nodes));
    return !process.running();
  });
  const auto code = ended ? process.wait(Milliseconds(0)) : std::nullopt;
  std::ifstream file(output);
  std::string line, said;
  while (std::getline(file, line)) {
    said += line + "\n";
    Json report = Json::parse(line, nullptr, false);
    if (report.is_object()) run.report = std::move(report);
  }
  if (code == 0 && !run.report.is_null()) return run;
  std::printf("VIOLATION iris-bench %s:\n%s",
              code ? ("ended with " + std::to_string(*code)).c_str() : "does not end",
              said.c_str());
  return std::nullopt;
}

void print(const char* what, const Run& run) {
  std::printf(
      "  %s: %lu writes, %.0f delivered/s, delivery p50 %.1f ms, p99 %.1f ms, max %.0f ms; %lu "
      "lost, %lu duplicated, %lu reordered, %lu resyncs; nodes at most %.0f MiB together\n",
      what, run.report["written"].get<std::uint64_t>(), run.report["delivered_per_s"].get<double>(),
      run.report["delivery_us"]["p50"].get<double>() / 1000, run.p99_ms(),
      run.report["delivery_us"]["max"].get<double>() / 1000,
      run.report["lost"].get<std::uint64_t>(), run.report["duplicated"].get<std::uint64_t>(),
      run.report["reordered"].get<std::uint64_t>(), run.report["resyncs"].get<std::uint64_t>(),
      run.peak_mib);
  std::fflush(stdout);
}

bool slow_reader(const Arguments& arguments) {
  const Words load = {"-listeners", std::to_string(slow_reader_listeners),
                      "-sources",   "10",
                      "-rate",      "100",
                      "-value",     "2KiB"};
  const auto without = bench(arguments, load);
  if (!without) return false;
  print("all read", *without);
  Words more = load;
  more.insert(more.end(), {"-unread", "1"});
  const auto with = bench(arguments, more);
  if (!with) return false;
  print("and one that never reads", *with);
  const double grown_mib = with->peak_mib - without->peak_mib;
  const bool good =
      without->exact() && with->exact() && grown_mib <= slow_reader_mib_max &&
      with->p99_ms() <= without->p99_ms() * slow_reader_p99_factor_max + slow_reader_p99_slack_ms;
  std::printf(
      "slow-reader: %u listeners, p99 %.1f ms without and %.1f ms with one that never reads; "
      "memory of the nodes %+.1f MiB\n",
      slow_reader_listeners, without->p99_ms(), with->p99_ms(), grown_mib);
  return good;
}

bool many_sessions(const Arguments& arguments) {
  const std::string sources = std::to_string(arguments.sources);
  const auto load = [&](std::uint64_t listeners) {
    return Words{"-listeners", std::to_string(listeners), "-sources", sources, "-rate", sources};
  };
  // The same writes with the fewest possible listeners, as the baseline.
  const auto few = bench(arguments, load(arguments.sources));
  if (!few) return false;
  print("one session a source", *few);
  const auto many = bench(arguments, load(arguments.sessions));
  if (!many) return false;
  print("all sessions", *many);
  const double sessions = static_cast<double>(arguments.sessions - arguments.sources);
  std::printf(
      "sessions: %lu over %lu sources, each written once a second: delivery p50 %.1f ms, p99 %.1f "
      "ms; %.1f KiB a session (the node that serves it and its copies)\n",
      arguments.sessions, arguments.sources,
      many->report["delivery_us"]["p50"].get<double>() / 1000, many->p99_ms(),
      (many->peak_mib - few->peak_mib) * 1024 / sessions);
  return few->exact() && many->exact();
}

Tally rounds(const Arguments& arguments, bool (*round)(const Arguments&)) {
  Tally tally;
  for (std::size_t i = 0; i < arguments.rounds; ++i) {
    (round(arguments) ? tally.passed : tally.failed) += 1;
  }
  return tally;
}

}  // namespace

Tally slow_reader_rounds(const Arguments& arguments) { return rounds(arguments, slow_reader); }
Tally sessions_rounds(const Arguments& arguments) {
  if (arguments.sessions <= arguments.sources) {
    std::fprintf(stderr, "iris-chaos: --sessions must be more than --sources\n");
    return {0, 1};
  }
  return rounds(arguments, many_sessions);
}

}  // namespace iris::test
