// Three or five cores in random weather: messages lost, repeated and reordered, slow disks, crashes
// that lose unsynced writes, trims, snapshots, transfers and membership changes.
// Each core checks its own invariants after every input; this file checks the properties of the
// whole cluster. Small on purpose: the simulator of the whole server is tests/sim.
#include <algorithm>
#include <cstdlib>
#include <map>
#include <random>
#include <set>
#include <string>
#include <utility>

#include "raft/check.h"
#include "raft/members.h"
#include "raft/quorum.h"
#include "tests/raft/cluster.h"

// Last: its CHECK must not stand in for raft/check.h's.
#include "tests/catch.h"

namespace iris::raft::test {
namespace {

// Like REQUIRE, but cheap while the condition holds: these checks run millions of times.
void expect(bool holds, const char* what) {
  if (!holds) FAIL(what);
}

Options small_options(std::uint64_t seed) {
  Options options = quick();
  options.seed = seed;
  options.append_bytes_max = 200;  // about three entries
  options.window_bytes_max = 600;
  options.window_messages_max = 4;
  options.promote_lag_entries_max = 5;
  options.disk_stall_ticks = 40;
  return options;
}

class RandomCluster {
 public:
  RandomCluster(std::uint64_t seed, std::uint64_t nodes, bool changes_members)
      : cluster_(nodes, small_options(seed)), chance_(seed), changes_members_(changes_members) {
    for (auto& [id, host] : cluster_.hosts()) watch(*host);
    next_id_ = nodes + 1;
  }

  void run(int steps) {
    for (int step = 0; step < steps; ++step) {
      act();
      observe();
    }
    heal();
  }

  [[nodiscard]] std::size_t committed() const { return committed_.size(); }
  [[nodiscard]] std::size_t reads_granted() const { return reads_granted_; }

 private:
  std::uint64_t below(std::uint64_t limit) { return chance_() % limit; }
  Host& any() {
    auto host = cluster_.hosts().begin();
    std::advance(host, static_cast<std::ptrdiff_t>(below(cluster_.hosts().size())));
    return *host->second;
  }

  void watch(Host& host) {
    host.auto_apply = false;
    const std::uint64_t id = host.id().value;
    host.on_leave = [this, id](const Message& message) { on_leave(id, message); };
  }

  // A vote or acknowledgement that leaves must be on its sender's disk (VD, AD).
  void on_leave(std::uint64_t id, const Message& message) {
    const Disk& disk = cluster_[id].disk();
    if (const auto* vote = std::get_if<VoteReply>(&message.body);
        vote != nullptr && vote->granted) {
      const auto [known, fresh] = votes_.try_emplace({id, message.term.value}, message.to);
      expect(known->second == message.to, "a node voted twice in a term");
      expect(disk.state.term > message.term ||
                 (disk.state.term == message.term && disk.state.vote == message.to),
             "a vote left before it was durable");
    } else if (const auto* ack = std::get_if<AppendReply>(&message.body);
               ack != nullptr && ack->matched) {
      check_acknowledged(id, message, ack->index);
    } else if (const auto* beat = std::get_if<HeartbeatReply>(&message.body)) {
      if (beat->durable > Index{}) check_acknowledged(id, message, beat->durable);
    }
  }

  void check_acknowledged(std::uint64_t id, const Message& message, Index index) {
    const Disk& disk = cluster_[id].disk();
    expect(disk.state.term >= message.term, "an acknowledgement left before its term was durable");
    if (disk.state.term != message.term) return;  // overtaken: the addressee is deposed
    const Index last{disk.floor.last.index.value + disk.entries.size()};
    expect(index <= last, "an acknowledged entry is not on disk");
    const Host& leader = cluster_[message.to.value];
    if (!leader.is_up() || leader.core().role() != Role::leader ||
        leader.core().term() != message.term || index <= disk.floor.last.index) {
      return;
    }
    const EntryPtr there = leader.core().entry(index);
    const EntryPtr& here = disk.entries[index.value - disk.floor.last.index.value - 1];
    expect(there == nullptr || there->id == here->id, "an acknowledged entry is not the leader's");
  }

  void act() {
    const std::uint64_t dice = below(1000);
    if (dice < 560) {
      for (std::uint64_t count = below(4) + 1; count > 0; --count) move_message();
    } else if (dice < 680) {
      Host& host = any();
      if (host.is_up()) host.persist(cluster_.wire, 1 + below(3));
      flush(host);
    } else if (dice < 735) {
      Host& host = any();
      if (host.is_up()) cluster_.tick(host.id().value);
    } else if (dice < 820) {
      Host& host = any();
      if (host.is_up()) host.apply({host.core().commit_index().value - below(3)});
    } else if (dice < 900) {
      propose();
    } else if (dice < 930) {
      read();
    } else if (dice < 934) {
      crash(any());
    } else if (dice < 960) {
      Host& host = any();
      if (!host.is_up() && !gone_.contains(host.id().value)) host.restart();
    } else if (dice < 970) {
      trim(any());
    } else if (dice < 985) {
      send_snapshots(any());
    } else if (dice < 988) {
      cut_links();
    } else if (dice < 992) {
      Host& host = any();
      if (host.is_up()) static_cast<void>(host.core().transfer(any().id()).has_value());
    } else if (changes_members_) {
      change_members();
    }
  }

  void flush(Host& host) {
    if (host.is_up()) host.flush(cluster_.wire);
  }

  void move_message() {
    auto& wire = cluster_.wire;
    if (wire.empty()) return;
    const auto at =
        wire.begin() + static_cast<std::ptrdiff_t>(below(std::min<std::size_t>(wire.size(), 20)));
    const std::uint64_t fate = below(100);
    if (fate >= 96 || cuts_.contains({at->from.value, at->to.value})) {
      wire.erase(at);
    } else if (fate < 92) {
      Message message = std::move(*at);
      wire.erase(at);
      deliver(std::move(message));
    } else {
      deliver(Message(*at));  // a repeated message
    }
  }

  // Often several messages arrive in one turn.
  void deliver(Message message) {
    const auto host = cluster_.hosts().find(message.to.value);
    if (below(2) == 0 || host == cluster_.hosts().end() || !host->second->is_up()) {
      return cluster_.deliver(std::move(message));
    }
    host->second->step(std::move(message));
  }

  // Links fail one way or both, for one node or between two halves.
  void cut_links() {
    cuts_.clear();
    const std::uint64_t shape = below(5);
    const bool one_way = below(3) == 0;
    const std::uint64_t victim = any().id().value;
    const std::uint64_t half = below(1u << 10);
    for (const auto& [from, host] : cluster_.hosts()) {
      for (const auto& [to, other] : cluster_.hosts()) {
        const bool apart = shape < 2    ? from == victim || (!one_way && to == victim)
                           : shape == 2 ? ((half >> from) & 1) != ((half >> to) & 1)
                                        : false;
        if (apart && from != to) cuts_.insert({from, to});
      }
    }
  }

  void propose() {
    Host& host = any();
    if (!host.is_up() || host.core().role() != Role::leader) return;
    const auto proposed = host.core().propose(std::to_string(++commands_));
    if (proposed) host.core().check_invariants();
    if (below(2) == 0) flush(host);
  }

  // RL: a grant must cover every entry that was committed on any node before its read began.
  void read() {
    Host& host = any();
    if (!host.is_up()) return;
    const auto id = host.core().read();
    if (!id) return;
    reads_[{host.id().value, lives_[host.id().value], id->value}] = highest_commit_;
    flush(host);
  }

  void crash(Host& host) {
    if (!host.is_up()) return;
    ++lives_[host.id().value];
    host.crash(
        below(host.queued_jobs() + 1),
        {host.disk().applied.value - std::min<std::uint64_t>(below(5), host.disk().applied.value)});
  }

  void trim(Host& host) {
    if (!host.is_up()) return;
    const CoreStatus status = host.status();
    if (status.applied.next() <= status.first) return;
    host.trim({status.first.value + below(status.applied.value - status.first.value + 1)});
  }

  // A snapshot transfer as a host does it: the leader's applied state, at any later time.
  void send_snapshots(Host& leader) {
    if (!leader.is_up()) return;
    for (const NodeId to : std::exchange(leader.snapshots_wanted, {})) {
      const SnapshotMetadata sent = leader.snapshot();
      Host& host = cluster_[to.value];
      const bool arrives = host.is_up() && below(4) != 0;
      if (arrives) {
        host.receive_snapshot(sent, leader.id());
        flush(host);
      }
      leader.snapshot_sent(to, arrives, sent.last);
    }
    flush(leader);
  }

  void change_members() {
    Host& host = any();
    if (!host.is_up() || host.core().role() != Role::leader) return;
    const Members members = host.core().members();
    const std::uint64_t dice = below(4);
    const Host& other = any();
    if (dice == 0 && members.learners.empty() && members.voters.size() < 5) {
      const std::uint64_t id = next_id_++;
      watch(cluster_.add(id));
      static_cast<void>(host.core().change(AddLearner{member(id)}).has_value());
    } else if (dice == 1 && !members.learners.empty()) {
      Promote promote{members.learners.front().id, {}};
      if (below(2) == 0) promote.replaces = other.id();
      static_cast<void>(host.core().change(promote).has_value());
    } else if (dice == 2 && members.voters.size() > 2) {
      static_cast<void>(host.core().change(Remove{other.id()}).has_value());
    } else if (dice == 3) {
      static_cast<void>(host.core()
                            .change(SetAddress{other.id(), "moved" + std::to_string(below(9))})
                            .has_value());
    }
    host.core().check_invariants();
    flush(host);
  }

  void observe() {
    for (auto& [id, host] : cluster_.hosts()) {
      if (!host->is_up()) continue;
      if (host->halted) {
        REQUIRE(host->removed);  // disks here lose no synced writes
        gone_.insert(id);
        host->crash(all);
        continue;
      }
      const Core& core = host->core();
      if (core.role() == Role::leader) lead(id, core);
      highest_commit_ = std::max(highest_commit_, core.commit_index());
      std::size_t& seen = seen_[{id, lives_[id]}];
      if (seen > host->applied().size()) seen = 0;  // a snapshot replaced them
      for (; seen < host->applied().size(); ++seen) {
        const EntryPtr& entry = host->applied()[seen];
        const auto [known, fresh] = committed_.try_emplace(entry->id.index.value, entry);
        expect(*known->second == *entry, "two nodes applied different entries");  // SMS
      }
      for (const ReadGrant& grant : std::exchange(host->reads, {})) {
        const auto read = reads_.find({id, lives_[id], grant.id.value});
        expect(read != reads_.end(), "a read was answered twice");
        if (grant.granted) {
          expect(grant.index >= read->second, "a read may miss what was committed before it");
          ++reads_granted_;
        }
        reads_.erase(read);
      }
    }
  }

  void lead(std::uint64_t id, const Core& core) {
    const auto [known, fresh] = leaders_.try_emplace(core.term().value, id);
    expect(known->second == id, "two leaders in a term");  // ES
    if (fresh) {                                           // LC
      for (const auto& [index, entry] : committed_) {
        const CoreStatus status = core.status();
        if (Index{index} < status.first) continue;
        expect(Index{index} <= status.last && core.entry({index})->id == entry->id,
               "a new leader lacks a committed entry");
      }
    }
    // CID: counted again on the disks.
    const Index commit = core.commit_index();
    const EntryPtr entry = core.entry(commit);
    if (entry == nullptr || entry->id.term != core.term()) return;
    const auto is_on_quorum = [&](const Members& members) {
      return quorum_tally(members, [&](NodeId voter) -> std::optional<bool> {
               const Disk& disk = cluster_[voter.value].disk();
               if (disk.floor.last.index >= commit) return true;
               const std::size_t at = commit.value - disk.floor.last.index.value - 1;
               return at < disk.entries.size() && disk.entries[at]->id == entry->id;
             }) == Tally::won;
    };
    // The leader counted in the configuration that was its latest then; it may have appended
    // another one since.
    expect(is_on_quorum(core.members()) || is_on_quorum(core.snapshot_metadata_at(commit).members),
           "an entry was committed without a quorum of disks");
  }

  // Fair weather: all members come back, and the cluster must make progress (LV).
  void heal() {
    cuts_.clear();
    for (auto& [id, host] : cluster_.hosts()) {
      host->auto_apply = true;
      if (!host->is_up() && !gone_.contains(id)) host->restart();
    }
    for (int round = 0; round < 60; ++round) {
      cluster_.tick_all(10);
      for (auto& [id, host] : cluster_.hosts()) {
        if (host->is_up()) cluster_.send_snapshots(id);
      }
      observe();
    }
    const std::uint64_t leader = cluster_.leader();
    REQUIRE(leader != 0);
    const Term term = cluster_.core(leader).term();
    const EntryId last = cluster_.propose(leader, "last");
    cluster_.tick_all(30);
    REQUIRE(cluster_.core(leader).term() == term);  // TS
    for (const Member& member : all_members(cluster_.core(leader).members())) {
      REQUIRE(cluster_.core(member.id.value).commit_index() >= last.index);
      REQUIRE(cluster_.core(member.id.value).members() == cluster_.core(leader).members());
    }
    observe();
  }

  Cluster cluster_;
  std::mt19937_64 chance_;
  bool changes_members_;
  std::uint64_t next_id_ = 0;
  std::uint64_t commands_ = 0;
  std::size_t reads_granted_ = 0;
  Index highest_commit_;
  std::set<std::uint64_t> gone_;
  std::set<std::pair<std::uint64_t, std::uint64_t>> cuts_;  // from, to
  std::map<std::uint64_t, std::uint64_t> lives_;
  std::map<std::pair<std::uint64_t, std::uint64_t>, std::size_t> seen_;  // of applied entries
  std::map<std::pair<std::uint64_t, std::uint64_t>, NodeId> votes_;
  std::map<std::uint64_t, std::uint64_t> leaders_;  // by term
  std::map<std::uint64_t, EntryPtr> committed_;
  std::map<std::tuple<std::uint64_t, std::uint64_t, std::uint64_t>, Index> reads_;
};

void run_seeds(std::uint64_t nodes, bool changes_members) {
  // IRIS_SEED replays one seed; IRIS_SEEDS runs so many.
  const char* one = std::getenv("IRIS_SEED");
  const char* many = std::getenv("IRIS_SEEDS");
  const std::uint64_t first = one != nullptr ? std::strtoull(one, nullptr, 10) : 1;
  const std::uint64_t count = one != nullptr    ? 1
                              : many != nullptr ? std::strtoull(many, nullptr, 10)
                                                : 15;
  std::size_t committed = 0;
  std::size_t reads = 0;
  for (std::uint64_t seed = first; seed < first + count; ++seed) {
    INFO("IRIS_SEED=" << seed);
    RandomCluster world(seed, nodes, changes_members);
    world.run(10000);
    committed += world.committed();
    reads += world.reads_granted();
  }
  // A run in which nothing was committed or read would prove nothing.
  CHECK(committed > count * 30);
  CHECK(reads > count * 5);
}

TEST_CASE("three nodes in random weather (hazards 1-5, 8, 20-29, 31, 36, 38, 59, 72-75)") {
  run_seeds(3, false);
}

TEST_CASE("five nodes in random weather (hazards 1-5, 8, 20-29, 31, 36, 38, 59, 72-75)") {
  run_seeds(5, false);
}

TEST_CASE("a changing membership in random weather (hazards 6, 7, 43-49, 52-55)") {
  run_seeds(3, true);
}

}  // namespace
}  // namespace iris::raft::test
