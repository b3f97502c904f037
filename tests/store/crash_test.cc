// A process that writes and is killed at any moment: nothing acknowledged is lost, nothing is
// applied twice, and the folder opens again.
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <random>
#include <sstream>
#include <string>

#include "tests/store/fixture.h"

#include "tests/catch.h"  // last: its CHECK must not stand in for raft/check.h's

namespace iris::store::test {
namespace {

constexpr std::uint64_t in_flight = 64;
constexpr std::uint64_t trimmed_every = 400;
constexpr std::uint64_t tail = 100;  // entries kept below the last applied one
constexpr std::string_view counter = "sum";

std::string command(std::uint64_t index) {
  return "command " + std::to_string(index) + std::string(index % 300, '.');
}

// A sum is not idempotent: it shows an entry that was applied twice or left out.
void add(Batch& batch, std::uint64_t index) {
  std::string sum;
  if (batch.get(Table::values, counter, sum) != Found::yes) sum = "0";
  batch.put(Table::values, counter, std::to_string(std::stoull(sum) + index));
}

std::uint64_t sum_up_to(std::uint64_t index) { return index * (index + 1) / 2; }

// The acknowledgements of one run of the writer.
struct Claims {
  std::uint64_t durable = 0;  // entries up to here
  std::uint64_t term = 0;     // and this term
  std::uint64_t floor = 0;
};

Claims read_claims(const std::string& said) {
  Claims claims;
  std::istringstream lines(said);
  std::string what;
  std::uint64_t number = 0;
  while (lines >> what >> number) {
    if (what == "durable") claims.durable = number;
    if (what == "term") claims.term = number;
    if (what == "floor") claims.floor = number;
  }
  return claims;
}

}  // namespace

// Appends, applies and trims without an end, and reports each completion.
TEST_CASE("child: a writer without an end", "[.child]") {
  Opened node(setting("FOLDER"), [](RocksOptions& options) {
    options.log_memtable_bytes = 128u << 10;  // small, so that files come and go
    options.data_memtable_bytes = 128u << 10;
  });
  std::uint64_t last = node.raft().floor.last.index.value + node.raft().entries.size();
  const raft::Term term{node.raft().state.term.value + 1};
  const std::uint64_t base = last;  // ticket n carries entry base + n
  std::uint64_t applied = node.applied;
  std::uint64_t told = last;
  std::uint64_t floor = node.raft().floor.last.index.value;
  const auto term_of = [&](std::uint64_t index) {
    if (index > base) return term;
    const std::size_t offset = index - node.raft().floor.last.index.value - 1;
    return node.raft().entries[offset]->id.term;
  };
  while (true) {
    while (last < told + in_flight) {
      ++last;
      node.write({entry(term.value, last, command(last))},
                 raft::HardState{term, {1 + term.value % 3}});
      if (last == base + 1) break;
    }
    REQUIRE(node.loop().run_until([&] { return base + node.durable.value > told; }));
    told = base + node.durable.value;
    say("term " + std::to_string(term.value));
    say("durable " + std::to_string(told));
    for (; applied < told; ++applied) {
      const std::uint64_t index = applied + 1;
      node.apply(term_of(index).value, index, [index](Batch& batch) { add(batch, index); });
    }
    if (node.applied < floor + trimmed_every) continue;
    floor = node.applied - tail;
    raft::SnapshotMetadata trimmed = mark(term_of(floor).value, floor);
    node->trim(trimmed, [floor] { say("floor " + std::to_string(floor)); });
  }
}

TEST_CASE(
    "a node killed at any moment has lost nothing it acknowledged (hazards 1, 2, 30, 70, 99)") {
  constexpr int rounds = 25;
  const TempFolder folder;
  std::mt19937 random(20240607);
  std::uint64_t progress = 0;
  for (int round = 0; round < rounds; ++round) {
    Claims claims;
    {
      Child child("child: a writer without an end", {{"FOLDER", folder.raft()}});
      const auto life = std::chrono::milliseconds(20 + random() % 120);
      const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
      const auto begin = std::chrono::steady_clock::now();
      // The kill comes at a random moment after the first acknowledgement.
      while (std::chrono::steady_clock::now() < end) {
        if (read_claims(child.heard()).durable > 0 &&
            std::chrono::steady_clock::now() - begin > life) {
          break;
        }
        ::usleep(500);
      }
      child.kill();
      const int status = child.wait();
      REQUIRE(WIFSIGNALED(status));
      REQUIRE(WTERMSIG(status) == SIGKILL);
      claims = read_claims(child.hear_all());
    }
    INFO("round " << round << ", durable " << claims.durable);
    REQUIRE(claims.durable > progress);
    progress = claims.durable;
    Opened node(folder.raft());
    const raft::Recovered& found = node.raft();
    REQUIRE(found.state.term.value >= claims.term);
    const std::uint64_t floor = found.floor.last.index.value;
    REQUIRE(floor >= claims.floor);
    REQUIRE(floor + found.entries.size() >= claims.durable);
    for (const raft::EntryPtr& one : found.entries) {
      REQUIRE(std::get<raft::Command>(one->payload) == command(one->id.index.value));
    }
    REQUIRE(found.applied.value >= floor);
    if (found.applied.value > 0) {
      REQUIRE(node.read(Table::values, std::string(counter)) ==
              std::to_string(sum_up_to(found.applied.value)));
    }
  }
}

}  // namespace iris::store::test
