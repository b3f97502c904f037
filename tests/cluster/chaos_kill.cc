// Nodes killed or stopped under load: nothing acknowledged is lost, no stopped leader answers with
// an old value, and the time until a new leader takes writes.
#include <csignal>
#include <cstdio>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "tests/cluster/chaos.h"
#include "tests/cluster/nodes.h"

namespace iris::test {

// SIGKILL of a random node, or of all, under load; restart; nothing acknowledged is lost.
Tally kill_rounds(const Arguments& arguments) {
  std::mt19937_64 random(arguments.seed);
  Nodes nodes({.count = 3, .tls = arguments.tls, .flags = {}});
  nodes.start_all();
  Ledger ledger(nodes, {});
  Tally tally;
  for (std::size_t round = 0; round < arguments.rounds; ++round) {
    ledger.start();
    bool good = ledger.await_progress(200, Milliseconds(30000));
    const bool all = random() % 4 == 0;
    const std::size_t victim = random() % nodes.size();
    for (std::size_t i = 0; i < nodes.size(); ++i) {
      if (all || i == victim) nodes.kill(i);
    }
    // With a majority alive the service must go on without the dead node.
    if (!all) good = ledger.await_progress(50, Milliseconds(30000)) && good;
    for (std::size_t i = 0; i < nodes.size(); ++i) {
      if (!nodes.running(i)) nodes.start(i);
    }
    good = ledger.await_progress(50, Milliseconds(30000)) && good;
    ledger.stop();
    for (std::size_t i = 0; i < nodes.size(); ++i) {
      ledger.check_final(nodes.api(i), "node " + std::to_string(i) + " at rest");
    }
    if (!good) std::printf("round %zu: no progress within 30 s\n", round);
    good = good && ledger.violations().empty();
    (good ? tally.passed : tally.failed) += 1;
    std::printf("round %zu: %s, %s killed; %lu writes acknowledged, %lu unknown, %lu reads\n",
                round, good ? "good" : "BAD",
                all ? "all" : ("node " + std::to_string(victim)).c_str(), ledger.acknowledged(),
                ledger.unknown(), ledger.reads());
    std::fflush(stdout);
    if (!good) {
      nodes.keep_evidence();
      break;
    }
  }
  report(ledger);
  return tally;
}

// The leader is stopped, the others elect another one and write, then it is continued: it must not
// answer a read with the old value.
Tally pause_rounds(const Arguments& arguments) {
  Nodes nodes({.count = 3, .tls = arguments.tls, .flags = {}});
  nodes.start_all();
  Tally tally;
  for (std::size_t round = 0; round < arguments.rounds; ++round) {
    const std::size_t old_leader = nodes.await_leader();
    const std::size_t other = (old_leader + 1) % nodes.size();
    const std::string before = "before " + std::to_string(round);
    const std::string after = "after " + std::to_string(round);
    bool good = await(Milliseconds(20000), [&] {
      return nodes.api(old_leader).set("pause", "key", before, Milliseconds(5000)).answer ==
             CallAnswer::ok;
    });
    nodes.signal(old_leader, SIGSTOP);
    good = await(Milliseconds(20000),
                 [&] {
                   return nodes.api(other).set("pause", "key", after, Milliseconds(5000)).answer ==
                          CallAnswer::ok;
                 }) &&
           good;
    // Reads that wait in the stopped leader's sockets, so that they are the first thing it sees.
    std::vector<std::thread> readers;
    std::vector<ReadAnswer> answers(8);
    for (auto& answer : answers) {
      readers.emplace_back([&nodes, &answer, old_leader] {
        answer = nodes.api(old_leader).get("pause", "key", Milliseconds(5000));
      });
    }
    std::this_thread::sleep_for(
        Milliseconds(20));  // let the requests reach the socket; no state to see
    nodes.signal(old_leader, SIGCONT);
    for (auto& reader : readers) reader.join();
    std::size_t answered = 0;
    for (const auto& answer : answers) {
      answered += answer.ok ? 1 : 0;
      if (answer.ok && answer.value != after) {
        good = false;
        std::printf("VIOLATION round %zu: the paused leader answered \"%s\"\n", round,
                    answer.value.c_str());
      }
    }
    (good ? tally.passed : tally.failed) += 1;
    if (!good || round % 20 == 0 || round + 1 == arguments.rounds) {
      std::printf("round %zu: %s, %zu of %zu reads answered\n", round, good ? "good" : "BAD",
                  answered, answers.size());
      std::fflush(stdout);
    }
    if (!good) {
      nodes.keep_evidence();
      break;
    }
  }
  return tally;
}

// From SIGKILL of the leader to the next acknowledged write through another node.
Tally failover_rounds(const Arguments& arguments) {
  Nodes nodes({.count = 3, .tls = arguments.tls, .flags = {}});
  nodes.start_all();
  Tally tally;
  std::vector<double> times_ms;
  for (std::size_t round = 0; round < arguments.rounds; ++round) {
    const std::size_t leader = nodes.await_leader();
    const std::size_t other = (leader + 1 + round % 2) % nodes.size();
    const std::string value = std::to_string(round);
    bool good = await(Milliseconds(20000), [&] {
      return nodes.api(other).set("failover", "key", value, Milliseconds(5000)).answer ==
             CallAnswer::ok;
    });
    const auto start = Clock::now();
    nodes.kill(leader);
    good =
        await(Milliseconds(20000),
              [&] {
                return nodes.api(other).set("failover", "key", value, Milliseconds(5000)).answer ==
                       CallAnswer::ok;
              }) &&
        good;
    times_ms.push_back(since(start));
    nodes.start(leader);
    good = await(Milliseconds(20000), [&] { return nodes.role(leader) == "follower"; }) && good;
    (good ? tally.passed : tally.failed) += 1;
    if (!good) {
      std::printf("round %zu: BAD\n", round);
      nodes.keep_evidence();
      break;
    }
  }
  print_times("SIGKILL of the leader to the next acknowledged write", times_ms);
  return tally;
}

}  // namespace iris::test
