// iris-chaos: real nodes and real faults, checked while they happen. CI runs a short round of each
// kind; tests/README.md lists the long runs by hand. Prints its findings; the last line is "N
// passed, N failed", a round counting as one.

#include <algorithm>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <random>
#include <string>
#include <string_view>

#include "raft/check.h"
#include "tests/cluster/chaos.h"
#include "tests/cluster/ledger.h"
#include "tests/cluster/nodes.h"

namespace iris::test {

void report(const Ledger& ledger) {
  for (const auto& text : ledger.violations()) std::printf("VIOLATION %s\n", text.c_str());
}

void print_times(const char* what, std::vector<double> times_ms) {
  if (times_ms.empty()) return;
  std::sort(times_ms.begin(), times_ms.end());
  std::printf("%s: n %zu, p50 %.0f ms, p90 %.0f ms, p99 %.0f ms, max %.0f ms\n", what,
              times_ms.size(), quantile(times_ms, 0.5), quantile(times_ms, 0.9),
              quantile(times_ms, 0.99), times_ms.back());
}

bool expect(bool holds, const std::string& otherwise) {
  if (!holds) std::printf("VIOLATION %s\n", otherwise.c_str());
  return holds;
}

double quantile(const std::vector<double>& times_ms, double share) {
  CHECK(!times_ms.empty());
  return times_ms[std::min(times_ms.size() - 1,
                           static_cast<std::size_t>(share * static_cast<double>(times_ms.size())))];
}

double since(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

Client make_client(const Nodes& nodes, std::vector<std::string> addresses) {
  client::Options options{.addresses = std::move(addresses), .tls = std::nullopt};
  if (!nodes.tls().folder.empty()) {
    const std::string folder = nodes.tls().folder + "/";
    options.tls = client::Tls{folder + "ca.crt", folder + "client.crt", folder + "client.key"};
  }
  auto client = Client::create(std::move(options));
  CHECK(client.has_value());
  return std::move(*client);
}

namespace {

constexpr int exit_skipped = 77;  // as Meson has it

bool parse_number(const char* text, auto& number, std::uint64_t least, std::uint64_t greatest) {
  const std::string_view all = text;
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(all.begin(), all.end(), value);
  if (error != std::errc() || end != all.end() || value < least || value > greatest) return false;
  number = static_cast<std::remove_reference_t<decltype(number)>>(value);
  return true;
}

bool parse(int argc, char** argv, Arguments& arguments) {
  if (argc < 2) return false;
  arguments.kind = argv[1];
  int first = 2;
  if (arguments.kind == "check") {
    if (argc < 3) return false;
    arguments.history = argv[first++];
  }
  for (int i = first; i < argc; ++i) {
    const std::string_view flag = argv[i];
    if (flag == "--tls") {
      arguments.tls = true;
      continue;
    }
    if (i + 1 == argc) return false;
    const char* value = argv[++i];
    bool good = flag == "--history";
    if (good) arguments.history = value;
    if (flag == "--rounds") good = parse_number(value, arguments.rounds, 1, 1'000'000);
    if (flag == "--seed") good = parse_number(value, arguments.seed, 0, UINT64_MAX);
    if (flag == "--megabytes") good = parse_number(value, arguments.megabytes, 1, 1'000'000);
    if (flag == "--nodes") good = parse_number(value, arguments.nodes, 3, 9);
    if (flag == "--seconds") good = parse_number(value, arguments.seconds, 10, 1'000'000);
    if (flag == "--rate") good = parse_number(value, arguments.rate, 1, 1'000'000);
    if (flag == "--sessions") good = parse_number(value, arguments.sessions, 1, 100'000);
    if (flag == "--sources") good = parse_number(value, arguments.sources, 1, 100'000);
    if (flag == "--keys") good = parse_number(value, arguments.keys, 1, 100'000'000);
    if (!good) return false;
  }
  return true;
}

constexpr char usage[] =
    "usage: iris-chaos KIND [--rounds N] [--seed N] [--tls]\n"
    "  kill, pause, failover     a node or all killed; the leader stopped; the leader killed\n"
    "  members, rolling          changes of membership; planned restarts\n"
    "  catchup, backup           a follower far behind; backup and restore [--megabytes 32]\n"
    "  disk, or a third of it: disk-full, disk-error, disk-damage\n"
    "  audit                     a hundred listeners through every fault [--seconds 600]\n"
    "                            [--rate 2000] [--nodes 3]\n"
    "  mixed                     random calls through every fault, judged by two checkers of\n"
    "                            linearizability [--seconds 600] [--nodes 3] [--history FILE]\n"
    "  check FILE                the same of a history (tests/history/README.md)\n"
    "  listener-failover         a listener's node killed\n"
    "  remove-source             a great source removed at once [--keys 1000000]\n"
    "  slow-reader               a listener that never reads among a thousand [--seconds 600]\n"
    "  sessions                  many of them [--sessions 10000] [--sources 1000] [--seconds "
    "600]\n";

int run(int argc, char** argv) {
  const std::string first = argc > 1 ? argv[1] : "";
  if (first == "--help" || first == "-help" || first == "-h") {
    std::fputs(usage, stdout);
    return 0;
  }
  Arguments arguments;
  if (!parse(argc, argv, arguments)) {
    std::fputs(usage, stderr);
    return 2;
  }
  std::printf("seed %lu\n", arguments.seed);
  const std::map<std::string, Tally (*)(const Arguments&)> kinds = {
      {"kill", kill_rounds},
      {"pause", pause_rounds},
      {"failover", failover_rounds},
      {"members", members_rounds},
      {"rolling", rolling_rounds},
      {"catchup", catchup_rounds},
      {"backup", backup_rounds},
      {"disk", disk_rounds},
      {"disk-full", disk_rounds},
      {"disk-error", disk_rounds},
      {"disk-damage", disk_rounds},
      {"audit", audit_rounds},
      {"mixed", mixed_rounds},
      {"check", check_file},
      {"listener-failover", listener_failover_rounds},
      {"remove-source", remove_source_rounds},
      {"slow-reader", slow_reader_rounds},
      {"sessions", sessions_rounds},
  };
  const auto kind = kinds.find(arguments.kind);
  if (kind == kinds.end()) {
    std::fprintf(stderr, "iris-chaos: no such kind of round: %s\n", arguments.kind.c_str());
    return 2;
  }
  const Tally tally = kind->second(arguments);
  std::printf("%zu passed, %zu failed\n", tally.passed, tally.failed);
  if (tally.passed + tally.failed == 0) return exit_skipped;
  return tally.failed == 0 ? 0 : 1;
}

}  // namespace
}  // namespace iris::test

int main(int argc, char** argv) { return iris::test::run(argc, argv); }
