// Bare cores, each with a disk in memory, and a wire between them that the test works by hand.
// One thread. Owns cores, disks and the messages in transit; nothing moves without a call.
// check_invariants() runs after every input to a core.
#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "raft/core.h"

namespace iris::raft::test {

inline constexpr std::size_t all = std::numeric_limits<std::size_t>::max();

// The state that survives a crash.
struct Disk {
  HardState state;
  SnapshotMetadata floor;
  std::vector<EntryPtr> entries;
  Index applied;
};

[[nodiscard]] inline EntryId id(std::uint64_t term, std::uint64_t index) {
  return {Term{term}, Index{index}};
}
[[nodiscard]] std::vector<std::uint64_t> ids_up_to(std::uint64_t count);  // 1..count
[[nodiscard]] Options quick();  // an election timeout of 10 ticks, a heartbeat every 2
[[nodiscard]] Member member(std::uint64_t id);
[[nodiscard]] Members voters(const std::vector<std::uint64_t>& ids,
                             const std::vector<std::uint64_t>& learners = {});
[[nodiscard]] EntryPtr entry(std::uint64_t term, std::uint64_t index, Payload payload = NoOp{});
// A disk whose log is the configuration as entry (1, 1), then an entry of each of `terms`.
[[nodiscard]] Disk disk_with(const Members& members, const std::vector<std::uint64_t>& terms = {});

// A node: a core, its disk and the queue of jobs for that disk.
class Host {
 public:
  Host(NodeId id, Options options, Disk disk);

  [[nodiscard]] NodeId id() const { return id_; }
  [[nodiscard]] bool is_up() const { return core_ != nullptr; }
  [[nodiscard]] Core& core() { return *core_; }  // REQUIRES: is_up()
  [[nodiscard]] const Core& core() const { return *core_; }
  [[nodiscard]] CoreStatus status() const { return core_->status(); }
  [[nodiscard]] const Disk& disk() const { return disk_; }
  [[nodiscard]] const std::vector<EntryPtr>& applied() const { return applied_; }

  // Inputs to the core, followed by check_invariants().
  void step(Message message);
  void tick();
  bool receive_snapshot(const SnapshotMetadata& snapshot, NodeId from);
  void snapshot_sent(NodeId to, bool ok, EntryId last);

  // Takes all output. Log jobs queue up; messages go to `wire`, or wait for the jobs before them.
  void flush(std::deque<Message>& wire);
  // Does the first `jobs` of the queue and sends the messages that waited for them.
  void persist(std::deque<Message>& wire, std::size_t jobs = all);
  [[nodiscard]] std::size_t queued_jobs() const { return jobs_.size(); }
  [[nodiscard]] std::vector<EntryPtr> queued_entries() const;
  // Applies the committed entries that the core handed out, up to `limit`, and tells it so.
  void apply(Index limit = {std::numeric_limits<std::uint64_t>::max()});
  // Loses everything in memory. The first `kept` queued jobs reach the disk, without an answer to
  // the core. The data, which is synced only before a trim, falls back to `data_kept` (not below
  // the floor).
  void crash(std::size_t kept = 0, Index data_kept = {std::numeric_limits<std::uint64_t>::max()});
  void restart();                                   // REQUIRES: !is_up()
  void trim(Index floor);                           // in memory and on disk
  [[nodiscard]] SnapshotMetadata snapshot() const;  // of the applied state

  std::vector<ReadGrant> reads;          // granted or refused so far
  std::vector<NodeId> snapshots_wanted;  // and not sent yet
  std::optional<Error> halted;
  bool removed = false;
  bool auto_apply = true;
  std::function<void(const Message&)> on_leave;  // sees every message as it leaves
  std::function<void(const Output&)> on_output;  // sees every output first

 private:
  struct Job {
    LogWrite write;
    std::vector<Message> waiting;  // leave once it is done
  };
  void do_job(const LogWrite& write);
  void leave(std::deque<Message>& wire, Message message) const;

  NodeId id_;
  Options options_;
  Disk disk_;
  std::unique_ptr<Core> core_;
  std::deque<Job> jobs_;
  std::vector<EntryPtr> handed_;   // by the core, not applied yet
  std::vector<EntryPtr> applied_;  // since the last start or snapshot
  Index applied_index_;
};

// Several hosts and one wire. A message leaves the wire by deliver() or settle().
class Cluster {
 public:
  explicit Cluster(Options options = {}) : options_(options) {}
  // Voters 1..count, each with the same first configuration on disk.
  explicit Cluster(std::uint64_t count, Options options = {});

  Host& add(std::uint64_t id, Disk disk = {});
  [[nodiscard]] Host& operator[](std::uint64_t id) { return *hosts_.at(id); }
  [[nodiscard]] std::map<std::uint64_t, std::unique_ptr<Host>>& hosts() { return hosts_; }
  [[nodiscard]] Core& core(std::uint64_t id) { return hosts_.at(id)->core(); }

  // Delivers messages and finishes disk jobs until nothing is left. Messages for which `lost` is
  // true are dropped.
  void settle();
  void settle(const std::function<bool(const Message&)>& lost);
  void flush(std::uint64_t id);
  void deliver(Message message);  // to its addressee, which is flushed; dropped where that is down
  void tick(std::uint64_t id, std::uint32_t ticks = 1);
  void tick_all(std::uint32_t ticks = 1);  // with settle() after each
  void elect(std::uint64_t id);            // campaign and settle; CHECKs that it leads
  EntryId propose(std::uint64_t id, std::string command = "x");  // and settles
  // The hosts' part of snapshots: takes each one that `leader` wants, and delivers it.
  void send_snapshots(std::uint64_t leader);
  [[nodiscard]] std::uint64_t leader();  // of the latest term; 0: none

  std::deque<Message> wire;

 private:
  Options options_;
  std::map<std::uint64_t, std::unique_ptr<Host>> hosts_;
};

}  // namespace iris::raft::test
