// Membership changes and planned restarts of real nodes under a checked load.
#include <cstdio>

#include "tests/cluster/chaos.h"
#include "tests/cluster/nodes.h"

namespace iris::test {

namespace {

// Asks any running node; true once it is done.
bool remove_member(Nodes& nodes, std::size_t who, std::size_t through) {
  pb::StatusResponse status;
  if (!nodes.api(who).status(status, Milliseconds(5000))) return false;
  return await(Milliseconds(20000), [&] {
    grpc::ClientContext context;
    set_deadline(context, Milliseconds(5000));
    pb::RemoveMemberRequest request;
    request.set_id(status.id());
    pb::RemoveMemberResponse response;
    const auto answer = nodes.api(through).cluster().RemoveMember(&context, request, &response);
    // An earlier try with an unknown outcome may have removed it already.
    return answer.ok() || answer.error_code() == grpc::StatusCode::NOT_FOUND;
  });
}

struct Step {
  const char* name;
  bool good;
  double gap_ms;
};

// Runs `change` while the ledger goes on; the gap is the longest time without an acknowledgement.
template <class Change>
Step step(Ledger& ledger, const char* name, Change&& change) {
  ledger.start();
  bool good = ledger.await_progress(100, Milliseconds(30000));
  good = change() && good;
  good = ledger.await_progress(100, Milliseconds(30000)) && good;
  ledger.stop();
  good = good && ledger.violations().empty();
  const double gap_ms = ledger.longest_gap_ms();
  std::printf("  %-32s %s, longest gap %.0f ms, %lu writes acknowledged\n", name,
              good ? "good" : "BAD", gap_ms, ledger.acknowledged());
  std::fflush(stdout);
  return {name, good, gap_ms};
}

bool grow_and_shrink(const Arguments& arguments) {
  Nodes nodes({.count = 5, .tls = arguments.tls, .flags = {}});
  nodes.start(0);
  nodes.await_voters(1);
  Ledger ledger(nodes, {.writers = 5, .readers = 5});
  bool good = true;
  const auto run = [&](const char* name, auto&& change) {
    good = good && step(ledger, name, change).good;
  };
  run("1 -> 3", [&] {
    nodes.start(1);
    nodes.start(2);
    nodes.await_voters(3);
    return true;
  });
  run("3 -> 5", [&] {
    nodes.start(3);
    nodes.start(4);
    nodes.await_voters(5);
    return true;
  });
  run("a follower is removed", [&] {
    const std::size_t leader = nodes.await_leader();
    const std::size_t victim = leader == 4 ? 3 : 4;
    const bool removed = remove_member(nodes, victim, leader);
    nodes.await_voters(4);
    return removed && nodes.wait_exit(victim, Milliseconds(20000)) == 0;
  });
  run("the leader is removed", [&] {
    const std::size_t leader = nodes.await_leader();
    const bool removed = remove_member(nodes, leader, leader);
    nodes.await_voters(3);
    return removed && nodes.wait_exit(leader, Milliseconds(20000)) == 0;
  });
  run("a dead node is replaced", [&] {
    const std::size_t leader = nodes.await_leader();
    std::size_t victim = 0;
    while (victim == leader || !nodes.running(victim)) ++victim;
    nodes.kill(victim);
    nodes.wipe(victim);
    nodes.set_join(victim, nodes.address(leader));
    nodes.start(victim);
    nodes.await_voters(3);
    return await(Milliseconds(30000), [&] { return nodes.role(victim) == "follower"; });
  });
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    if (nodes.running(i))
      ledger.check_final(nodes.api(i), "node " + std::to_string(i) + " at rest");
  }
  report(ledger);
  return good && ledger.violations().empty();
}

}  // namespace

Tally members_rounds(const Arguments& arguments) {
  Tally tally;
  for (std::size_t round = 0; round < arguments.rounds; ++round) {
    std::printf("round %zu\n", round);
    const bool good = grow_and_shrink(arguments);
    (good ? tally.passed : tally.failed) += 1;
  }
  return tally;
}

// Every node in turn gets SIGTERM and starts again; the service goes on.
Tally rolling_rounds(const Arguments& arguments) {
  Nodes nodes({.count = 3, .tls = arguments.tls, .flags = {}});
  nodes.start_all();
  Ledger ledger(nodes, {});
  Tally tally;
  std::vector<double> gaps_ms;
  for (std::size_t round = 0; round < arguments.rounds; ++round) {
    for (std::size_t i = 0; i < nodes.size(); ++i) {
      const bool led = nodes.await_leader() == i;
      const auto one = step(ledger, led ? "the leader restarts" : "a follower restarts", [&] {
        const auto code = nodes.stop(i);
        const bool clean = code == 0;
        if (!clean) {
          std::printf("  node %zu, told to stop, %s; the end of its log:\n%s\n", i,
                      code ? ("ended with " + std::to_string(*code)).c_str() : "goes on",
                      nodes.log_tail(i).c_str());
          nodes.kill(i);
        }
        nodes.start(i);
        return clean && await(Milliseconds(20000), [&] {
                 const std::string role = nodes.role(i);
                 return role == "follower" || role == "leader";
               });
      });
      gaps_ms.push_back(one.gap_ms);
      (one.good ? tally.passed : tally.failed) += 1;
    }
  }
  report(ledger);
  print_times("longest gap of a restart", gaps_ms);
  return tally;
}

}  // namespace iris::test
