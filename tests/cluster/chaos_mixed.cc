// iris-chaos mixed: clients that call at random while nodes are killed, stopped, partitioned and
// restarted; the history of all their calls is judged by two checkers that share no idea
// (tests/history). iris-chaos check: the same of a file.
#include <cstdio>
#include <fstream>
#include <iostream>

#include "tests/cluster/chaos.h"
#include "tests/cluster/faults.h"
#include "tests/cluster/recorder.h"
#include "tests/history/history_file.h"
#include "tests/history/revision_checker.h"
#include "tests/history/search_checker.h"

namespace iris::test {
namespace {

using history::History;
using history::Outcome;
using history::Verdict;

// A run below these figures proves too little and counts as failed.
constexpr std::uint64_t successes_per_second_min = 50;
constexpr std::uint64_t seconds_per_fault_max = 20;
constexpr std::uint64_t progress_after_fault = 50;
constexpr Milliseconds progress_limit{20'000};

bool report(const char* name, const Verdict& verdict) {
  for (const std::string& violation : verdict.violations) {
    std::printf("VIOLATION (%s) %s\n", name, violation.c_str());
  }
  if (verdict.undecided > 0) {
    std::printf("UNDECIDED (%s) %zu keys took too long\n", name, verdict.undecided);
  }
  return verdict.good();
}

// Prints what was counted and what is wrong.
bool judge(const History& history) {
  std::size_t outcomes[4] = {};
  for (const auto& operation : history) ++outcomes[static_cast<std::size_t>(operation.outcome)];
  const Verdict revisions = history::check_revisions(history);
  const Verdict search = history::check_by_search(history);
  std::printf(
      "history: %zu calls: %zu ok, %zu conflicts, %zu not done, %zu unknown; %zu judged by "
      "revision, %zu by search\n",
      history.size(), outcomes[static_cast<std::size_t>(Outcome::ok)],
      outcomes[static_cast<std::size_t>(Outcome::conflict)],
      outcomes[static_cast<std::size_t>(Outcome::not_done)],
      outcomes[static_cast<std::size_t>(Outcome::unknown)], revisions.checked, search.checked);
  const bool by_revision = report("revisions", revisions);
  const bool by_search = report("search", search);
  return by_revision && by_search;
}

void write(const History& history, const std::string& path) {
  std::ofstream file(path);
  for (const auto& operation : history) history::write_operation(file, operation);
  expect(static_cast<bool>(file.flush()), path + ": the history cannot be written");
}

bool mixed_round(const Arguments& arguments, std::uint64_t seed) {
  Nodes nodes({.count = arguments.nodes, .tls = arguments.tls, .flags = Faults::flags()});
  Faults faults(nodes, seed);
  faults.start_all();
  Recorder recorder(nodes, {}, seed);
  recorder.start();
  const auto end = Clock::now() + std::chrono::seconds(arguments.seconds);
  bool good = true;
  while (good && (Clock::now() < end || !faults.all_kinds())) {
    good = faults.run() && expect(recorder.await_progress(progress_after_fault, progress_limit),
                                  "after a fault the cluster serves too little for 20 s");
  }
  recorder.stop();
  for (std::size_t i = 0; i < nodes.size(); ++i) recorder.read_all(i);
  std::printf("mixed: seed %lu, %lu s, %zu nodes, %lu faults (%s)\n", seed, arguments.seconds,
              nodes.size(), faults.count(), faults.summary().c_str());
  good = judge(recorder.history()) && good;
  good = expect(recorder.succeeded() >= arguments.seconds * successes_per_second_min,
                "void: fewer than " + std::to_string(successes_per_second_min) +
                    " calls a second succeeded") &&
         good;
  good = expect(faults.partitions_held(), "void: the partitions held nothing back") && good;
  good = expect(faults.count() >= arguments.seconds / seconds_per_fault_max,
                "void: there were only " + std::to_string(faults.count()) + " faults") &&
         good;
  if (!arguments.history.empty()) write(recorder.history(), arguments.history);
  if (!good) {
    write(recorder.history(), nodes.folder() + "/history.json");
    nodes.keep_evidence();
  }
  return good;
}

}  // namespace

Tally mixed_rounds(const Arguments& arguments) {
  Tally tally;
  for (std::size_t round = 0; round < arguments.rounds; ++round) {
    const bool good = mixed_round(arguments, arguments.seed + round);
    (good ? tally.passed : tally.failed) += 1;
    if (!good) break;
  }
  return tally;
}

Tally check_file(const Arguments& arguments) {
  std::ifstream file(arguments.history);
  if (!file) {
    std::printf("%s: cannot be opened\n", arguments.history.c_str());
    return {0, 1};
  }
  const auto history = history::read_history(file, arguments.history);
  if (!history) {
    std::printf("%s\n", history.error().text.c_str());
    return {0, 1};
  }
  return judge(*history) ? Tally{1, 0} : Tally{0, 1};
}

}  // namespace iris::test
