// NodeHost: what the parts of a Node share: the core, what they borrow, the tick count, answers
// that wait for the end of the turn. Loop thread. Parts (writes.h, reads.h, ...) know the
// host and never each other, but for what their constructors name. Decides nothing itself.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "raft/core.h"
#include "src/node/node.h"
#include "src/node/waiters.h"

namespace iris {

// Answers are given at the end of a flush, never from inside the call that caused them.
class Answers {
 public:
  void write(Node::Done done, Result<Outcome> result) {
    writes_.push_back({std::move(done), std::move(result)});
  }
  void read(std::function<void(Status)> done, Status status) {
    reads_.push_back({std::move(done), std::move(status)});
  }
  void other(std::function<void()> done) { others_.push_back(std::move(done)); }

  [[nodiscard]] bool empty() const { return writes_.empty() && reads_.empty() && others_.empty(); }
  // Gives those that wait now; what they cause waits for the next flush. REQUIRES: not under way.
  void give();

 private:
  bool giving_ = false;
  struct Write {
    Node::Done done;
    Result<Outcome> result;
  };
  struct Read {
    std::function<void(Status)> done;
    Status status;
  };
  std::vector<Write> writes_, writes_now_;  // two each, so that their memory is used again
  std::vector<Read> reads_, reads_now_;
  std::vector<std::function<void()>> others_, others_now_;
};

struct NodeHost {
  NodeHost(NodeOptions given_options, store::Store& given_store, Transport& given_transport,
           NodeHooks given_hooks)
      : options(std::move(given_options)),
        store(given_store),
        transport(given_transport),
        hooks(std::move(given_hooks)) {
    budget.max = options.waiters_max;
  }

  const NodeOptions options;
  store::Store& store;
  Transport& transport;
  const NodeHooks hooks;

  std::optional<raft::Core> core;  // from start() on
  raft::NodeId self;
  raft::ClusterId cluster;  // durable; 0: takes no part yet
  raft::Index applied;      // on_applied was called up to here, views contain it
  raft::Index floor;        // the in-memory log begins after it
  std::uint64_t now = 0;    // ticks since start
  std::size_t unapplied_bytes = 0;
  bool disk_low = false;
  bool stopped = false;  // stop() or on_halt: nothing is begun any more
  WaiterBudget budget;
  Answers answers;

  // Something happened in this turn.
  void touch() {
    if (std::exchange(scheduled, true)) return;
    hooks.schedule_flush();
  }
  bool scheduled = false;

  // Callbacks that a store or transport may keep longer than the node lives begin with
  // `if (gone.expired()) return;`.
  std::shared_ptr<bool> alive = std::make_shared<bool>(true);
  [[nodiscard]] std::weak_ptr<bool> guard() const { return alive; }

  [[nodiscard]] bool takes_part() const { return core.has_value() && cluster.value != 0; }
  [[nodiscard]] bool leads() const { return takes_part() && core->role() == raft::Role::leader; }
  // The core refuses commands while it transfers leadership.
  [[nodiscard]] bool may_propose() const { return leads() && core->transfer_target().value == 0; }
  // The leader, if it is known and another node; else 0.
  [[nodiscard]] raft::NodeId other_leader() const {
    if (!takes_part() || core->leader() == self) return {};
    return core->leader();
  }

  // A leader that a command can be sent to. One whose connection broke may be dead: a command sent
  // after it would be of unknown outcome for nothing, when it could wait for the next leader.
  [[nodiscard]] raft::NodeId reachable_leader() const {
    const raft::NodeId leader = other_leader();
    return leader.value != 0 && transport.connected(leader) ? leader : raft::NodeId{};
  }

  // The tick at which `deadline_ms` from now have passed: never now, and never so far that ticks
  // could overflow (hazard 15).
  [[nodiscard]] std::uint64_t deadline(std::uint64_t deadline_ms) const {
    constexpr std::uint64_t ticks_max = 1ull << 40;
    const std::uint64_t ticks =
        deadline_ms / options.tick_ms + (deadline_ms % options.tick_ms != 0);
    return now + std::clamp<std::uint64_t>(ticks, 1, ticks_max);
  }
  // The ticks of an interval: rounded down, and at least one.
  [[nodiscard]] std::uint64_t ticks(std::uint64_t ms) const {
    return std::max<std::uint64_t>(1, ms / options.tick_ms);
  }

  // --- Times that follow from the election time, in ticks.
  [[nodiscard]] std::uint64_t election_ticks() const { return options.raft.election_ticks; }
  // A request to a peer that was not answered is asked anew.
  [[nodiscard]] std::uint64_t retry_ticks() const {
    return std::max<std::uint64_t>(1, election_ticks() / 4);
  }
  // Somebody who is silent so long is given up.
  [[nodiscard]] std::uint64_t patience_ticks() const { return 20 * election_ticks(); }

  // What a call is told that comes when `budget` is full.
  [[nodiscard]] Error too_many_waiters() const;

  // Where ids of requests of this life begin. They travel as `id ^ id_base()`.
  [[nodiscard]] std::uint64_t id_base() const;
};

// Scatters every bit of `seed` over the result (splitmix64's finish).
[[nodiscard]] std::uint64_t mix(std::uint64_t seed);

}  // namespace iris
