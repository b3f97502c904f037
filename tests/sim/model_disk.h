// ModelDisk: the content of a node's folder, apart from the process that uses it: the durable log,
// the unsynced jobs of the log lane, and every state of the data since its last sync.
// One thread. Outlives the ModelStore opened on it; a copy of it is a copy of the folder.
// crash() decides which unsynced part survives; it never invents anything.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "raft/types.h"
#include "store/store.h"
#include "tests/sim/persistent_map.h"
#include "tests/sim/random.h"

namespace iris::sim {

inline constexpr std::size_t table_count = 7;

// One state of the data. Never changes once others can see it.
struct DataState {
  std::array<PersistentMap, table_count> tables;
  raft::EntryId applied;
  raft::Members members;  // in force at `applied`
  raft::Index members_index;
  // By how much maintain() has changed the digests of the tables: rows that no read can see are
  // deleted by each node at its own time and are not part of the state that the log makes.
  std::array<std::uint64_t, table_count> maintained{};

  [[nodiscard]] raft::SnapshotMetadata mark() const { return {applied, members, members_index}; }
  // The digest of the state that the log up to `applied` makes; equal on all nodes.
  [[nodiscard]] std::uint64_t digest() const;
  [[nodiscard]] std::uint64_t bytes() const;
};
using DataPtr = std::shared_ptr<const DataState>;

struct LogState {
  raft::ClusterId cluster;
  raft::HardState state;
  raft::SnapshotMetadata floor;
  std::deque<raft::EntryPtr> entries;  // the first at floor.last.index + 1
  std::uint64_t bytes = 0;             // of the entries

  [[nodiscard]] raft::Index last() const { return {floor.last.index.value + entries.size()}; }
  // The log holds this entry, or its floor is this entry.
  [[nodiscard]] bool holds(raft::EntryId id) const;
};

// One job of the log lane: exactly one of the three is there.
struct LogJob {
  std::optional<raft::LogWrite> write;
  std::optional<raft::SnapshotMetadata> trim;
  std::optional<raft::ClusterId> adopt;
  DataPtr staged;                  // with write->install
  std::uint64_t data_barrier = 0;  // with write->install: data jobs that come before it
};

// Durations and faults of a disk. May be changed at any time.
struct DiskProfile {
  std::uint64_t log_sync_us_min = 300;
  std::uint64_t log_sync_us_max = 600;
  std::uint64_t data_us_min = 20;
  std::uint64_t data_us_max = 100;
  std::uint64_t data_sync_us_min = 500;
  std::uint64_t data_sync_us_max = 2'000;
  std::uint64_t read_us_min = 10;
  std::uint64_t read_us_max = 100;
  std::uint64_t stall_per_million = 0;  // a job takes stall_us_max at most besides
  std::uint64_t stall_us_max = 0;
  std::uint64_t incomplete_per_million = 0;        // cached().get() says "only the disk knows"
  std::uint64_t background_flush_per_million = 0;  // a data batch becomes durable by itself
  std::uint64_t capacity_bytes = std::uint64_t{1} << 40;
  bool fail_writes = false;  // the next write or sync of either lane is refused
};

class ModelDisk {
 public:
  // `self` is the identity that a first start would make; `seed` feeds every random choice.
  ModelDisk(raft::NodeId self, std::uint64_t seed);

  enum class Keep { none, some, all };  // of the unsynced part; some: a random prefix of each lane
  struct Crash {
    Keep log = Keep::some;
    Keep data = Keep::some;
    // An install under way may have flipped the data and not yet restarted the log: this one job
    // takes two steps on a real disk.
    bool torn_install = true;
  };
  // REQUIRES: no store is open on it.
  void crash(Crash crash);

  // As if this configuration had been its first entry. REQUIRES: never used.
  void preload(raft::ClusterId cluster, const raft::EntryPtr& first);

  DiskProfile profile;

  // The content if power failed now and no unsynced part survived.
  [[nodiscard]] const LogState& log() const { return log_; }
  [[nodiscard]] const DataState& durable_data() const { return *durable_data_; }
  // The content as the running node reads it.
  [[nodiscard]] const DataState& data() const { return *versions_.back(); }
  [[nodiscard]] const DataPtr& data_version() const { return versions_.back(); }
  [[nodiscard]] raft::NodeId self() const { return self_; }
  // Store::condemn() was called: no store is opened on it any more.
  [[nodiscard]] bool condemned() const { return condemned_; }
  void condemn() { condemned_ = true; }
  [[nodiscard]] std::uint64_t used_bytes() const;
  // Counted over all lives.
  [[nodiscard]] std::uint64_t syncs() const { return syncs_; }

 private:
  friend class ModelStore;
  friend class RocksDisk;

  void do_log_job(const LogJob& job);
  void do_install(const LogJob& job);
  void do_entries(const raft::LogWrite& write);
  void do_trim(const raft::SnapshotMetadata& floor);
  void sync_data();
  void add_version(DataState state);
  // The rule at start: the applied index of the data decides where the log begins.
  raft::Recovered recover();

  raft::NodeId self_;
  Random random_;
  LogState log_;
  std::deque<LogJob> pending_;     // written or queued, not synced; in order
  DataPtr durable_data_;           // the last one synced
  std::vector<DataPtr> versions_;  // since then, the newest last; the first is durable_data_
  std::uint64_t syncs_ = 0;
  bool open_ = false;
  bool condemned_ = false;
};

}  // namespace iris::sim
