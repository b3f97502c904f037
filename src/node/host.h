// NodeHost: what the parts of a Node share: the core, the borrowed store and transport, the count
// of ticks, and the answers that wait for the end of the turn.
// Loop thread. The parts (writes.h, reads.h, ...) know the host, and of each other only those that
// their constructors name. The host decides nothing itself.
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

// Answers to calls, given at the end of a flush and never from inside the call that they answer.
class Answers {
 public:
  void write(Node::Done done, Result<Outcome> result) {
    writes_.push_back({std::move(done), std::move(result)});
  }
  void read(std::function<void(Status)> done, Status status) {
    reads_.push_back({std::move(done), std::move(status)});
  }
  void other(std::function<void()> done) { others_.push_back(std::move(done)); }

  // Gives the answers that wait now. Answers that these cause wait for the next flush.
  // REQUIRES: not from inside an answer.
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
  std::vector<Write> writes_, writes_now_;  // two of each, so that their memory is used again
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

  std::optional<raft::Core> core;  // from Node::start() on
  raft::NodeId self;
  raft::ClusterId cluster;          // durable; 0: takes no part yet
  raft::Index applied;              // on_applied was called up to here, and views contain it
  raft::Level level;                // of the cluster, in force at `applied`
  raft::Index floor;                // the in-memory log begins after it
  std::uint64_t now = 0;            // ticks since start
  std::size_t unapplied_bytes = 0;  // of committed entries on their way through the data lane
  bool disk_low = false;            // growth is refused (disk_watch.h)
  bool stopped = false;             // by stop() or on_halt: nothing is begun any more
  WaiterBudget budget;
  Answers answers;

  // Something happened: a flush is due.
  void touch() {
    if (std::exchange(scheduled, true)) return;
    hooks.schedule_flush();
  }
  bool scheduled = false;

  // A callback that a store or transport may keep longer than the node lives captures
  // `gone = guard()` and does nothing if (gone.expired()).
  std::shared_ptr<bool> alive = std::make_shared<bool>(true);
  [[nodiscard]] std::weak_ptr<bool> guard() const { return alive; }

  [[nodiscard]] PeerIdentity identity() const {
    return {self, cluster, options.address, options.level, level};
  }

  // False: of no cluster yet, or its id is not durable. Raft is neither spoken nor heard until
  // then.
  [[nodiscard]] bool takes_part() const { return core.has_value() && cluster.value != 0; }
  [[nodiscard]] bool leads() const { return takes_part() && core->role() == raft::Role::leader; }
  // The core refuses commands while it transfers leadership.
  [[nodiscard]] bool may_propose() const { return leads() && core->transfer_target().value == 0; }
  // The leader, if it is known and another node; else 0.
  [[nodiscard]] raft::NodeId other_leader() const {
    if (!takes_part() || core->leader() == self) return {};
    return core->leader();
  }

  // The leader that a command can be forwarded to; else 0. A leader whose connection broke may be
  // dead: the outcome of a command sent to it would be unknown, where the command could have waited
  // for the next leader.
  [[nodiscard]] raft::NodeId reachable_leader() const {
    const raft::NodeId leader = other_leader();
    return leader.value != 0 && transport.connected(leader) ? leader : raft::NodeId{};
  }

  // Voters to which nothing can be sent now: they take no leadership over.
  [[nodiscard]] std::vector<raft::NodeId> unreachable_voters() const;

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

  // Adds one tick's share of a rate to what may be moved now. An unused share is not kept, so no
  // burst follows a pause.
  void refill(std::int64_t& allowance_bytes, std::uint64_t bytes_per_second) const {
    const std::uint64_t share = bytes_per_second * options.tick_ms / 1000;
    const auto earned = static_cast<std::int64_t>(std::max<std::uint64_t>(share, 1));
    allowance_bytes = std::min(allowance_bytes + earned, earned);
  }

  // --- Times that follow from the election timeout, in ticks.
  [[nodiscard]] std::uint64_t election_ticks() const { return options.raft.election_ticks; }
  // After this a request that a peer has not answered is sent anew.
  [[nodiscard]] std::uint64_t retry_ticks() const {
    return std::max<std::uint64_t>(1, election_ticks() / 4);
  }
  // After this a silent peer, or a transfer without progress, is given up.
  [[nodiscard]] std::uint64_t give_up_ticks() const { return 20 * election_ticks(); }

  // The error of a call that comes while `budget` is full.
  [[nodiscard]] Error too_many_waiters() const;

  // Where the ids of this life's requests to peers begin: a request is numbered from here on, or
  // carries `id ^ id_base()`.
  [[nodiscard]] std::uint64_t id_base() const;
};

// Scatters every bit of `seed` over the result (the output function of splitmix64: Steele, Lea and
// Flood 2014).
[[nodiscard]] std::uint64_t mix(std::uint64_t seed);

}  // namespace iris
