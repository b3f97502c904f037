// Bare: one core with its disk; the test plays all other nodes.
// One thread. Messages that leave the core are in `left` until the test takes them. The disk
// finishes every job at once, unless `disk_waits`.
#pragma once

#include <cstdint>
#include <deque>
#include <utility>
#include <vector>

#include "tests/raft/cluster.h"

namespace iris::raft::test {

using Terms = std::vector<std::uint64_t>;

class Bare {
 public:
  explicit Bare(Disk disk, Options options = {}, std::uint64_t id = 1)
      : host(NodeId{id}, options, std::move(disk)) {}

  // Receives `body` from `from` in `term`, and settles.
  void receive(std::uint64_t from, std::uint64_t term, Body body) {
    host.step({NodeId{from}, host.id(), Term{term}, std::move(body)});
    settle();
  }
  void tick(std::uint32_t ticks = 1) {
    for (std::uint32_t tick = 0; tick < ticks; ++tick) {
      host.tick();
      settle();
    }
  }
  void settle() {
    host.core().check_invariants();
    do {
      host.flush(left);
      if (!disk_waits) host.persist(left);
    } while (host.core().has_output());
  }

  // Takes all messages of one kind out of `left`, and drops the others.
  template <class Kind>
  std::vector<std::pair<Message, Kind>> take() {
    std::vector<std::pair<Message, Kind>> taken;
    for (Message& message : left) {
      if (auto* body = std::get_if<Kind>(&message.body)) taken.emplace_back(message, *body);
    }
    left.clear();
    return taken;
  }

  // Becomes a candidate of the next term: all voters grant their pre-votes.
  void stand() {
    host.core().campaign();
    settle();
    const std::uint64_t term = host.core().term().value + 1;
    for (const Member& voter : host.core().members().voters) {
      if (host.core().role() != Role::precandidate) break;
      if (voter.id != host.id()) receive(voter.id.value, term, PreVoteReply{true});
    }
  }
  // Becomes leader: all voters vote for it.
  void lead() {
    stand();
    for (const Member& voter : host.core().members().voters) {
      if (host.core().role() != Role::candidate) break;
      if (voter.id != host.id()) receive(voter.id.value, term(), VoteReply{true});
    }
    CHECK(host.core().role() == Role::leader);
  }
  // `from` acknowledges the log up to `index`.
  void acknowledge(std::uint64_t from, std::uint64_t index) {
    receive(from, term(), AppendReply{true, Index{index}, {}});
  }

  [[nodiscard]] Core& core() { return host.core(); }
  [[nodiscard]] Role role() const { return host.core().role(); }
  [[nodiscard]] std::uint64_t term() const { return host.core().term().value; }
  [[nodiscard]] std::uint64_t last() const { return host.status().last.value; }
  [[nodiscard]] std::uint64_t commit() const { return host.core().commit_index().value; }
  // The terms of the entries in memory.
  [[nodiscard]] Terms terms() const {
    Terms terms;
    const CoreStatus status = host.status();
    for (Index index = status.first; index <= status.last; index = index.next()) {
      terms.push_back(host.core().entry(index)->id.term.value);
    }
    return terms;
  }

  Host host;
  std::deque<Message> left;
  bool disk_waits = false;
};

// Node 1 of voters 1, 2, 3 with the configuration and an entry of each of `terms` in its log.
[[nodiscard]] inline Bare three(const Terms& terms = {}, Options options = {}) {
  return Bare(disk_with(voters({1, 2, 3}), terms), options);
}

}  // namespace iris::raft::test
