// RocksDisk: a node's folder under the production store, and the proof that the store keeps its
// promises. The ModelDisk beside it knows which writes were acknowledged (all of them must survive
// any crash) and the order of the others (a prefix of them may survive).
// One thread, but where RocksDB waits for its own (rocks_env.h). Owns the files and, between two
// lives of a process, the store that was opened on them. The host owns the model, which all checks
// read. A life: take() the store; report each of its jobs here; crash().
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "store/rocks.h"
#include "store/store.h"
#include "tests/sim/model_disk.h"
#include "tests/sim/rocks_env.h"
#include "tests/sim/rocks_files.h"

namespace iris::sim {

// By applied index: the digests of the tables on every node, before maintenance deleted rows that
// no read can see. They tell an imported state how much maintenance had changed its digests.
using SharedDigests = std::map<std::uint64_t, std::array<std::uint64_t, table_count>>;

class RocksDisk {
 public:
  struct Hooks {
    std::function<void(std::function<void()>)> post;
    std::function<void(store::LaneName, std::function<void()>)> run_lane;
  };

  // Makes the folder. `model` and `digests` outlive this.
  RocksDisk(ModelDisk& model, SharedDigests& digests, std::uint64_t seed);
  ~RocksDisk();
  RocksDisk(const RocksDisk&) = delete;
  RocksDisk& operator=(const RocksDisk&) = delete;

  [[nodiscard]] const ModelDisk& model() const { return model_; }
  void condemn() { model_.condemn(); }
  [[nodiscard]] SharedDigests& digests() { return digests_; }
  [[nodiscard]] RocksFiles& files() { return *files_; }
  // As if this configuration had been its first entry. REQUIRES: never used.
  void preload(raft::ClusterId cluster, const raft::EntryPtr& first);

  // The store, which from now on uses these. REQUIRES: it was not taken since the last crash.
  [[nodiscard]] std::unique_ptr<store::Store> take(Hooks hooks);
  // A lane has done what it had to do.
  void lane_ended();
  // As it would be in another process too.
  [[nodiscard]] Error without_path(Error error) const;
  // The end of the simulation, without a crash.
  void close(std::unique_ptr<store::Store> taken);
  // A power cut, which destroys `taken`. Judges the surviving content, which becomes the model's.
  void crash(std::unique_ptr<store::Store> taken, bool keep_unsynced);

  // --- The jobs of the store, for the model.
  // A job of the log lane; all are numbered from 1 on.
  std::uint64_t asked(LogJob job);
  // This job and all before it are on disk.
  void durable(std::uint64_t number);
  void trim_asked(const raft::SnapshotMetadata& floor);
  void trim_done();  // of the oldest that was asked for
  // The data lane has come to this state.
  void applied(DataState state);

 private:
  // A possible state of the log after a crash and, with an install, of the data.
  struct Candidate {
    LogState log;
    DataPtr installed;
  };
  void open();
  void settle();
  void on_step(std::string_view step);
  void flipped();
  [[nodiscard]] std::vector<Candidate> candidates() const;
  [[nodiscard]] bool fits(const Candidate& candidate, const store::Recovery& found) const;
  [[nodiscard]] DataPtr matching_data(const Candidate& candidate, const DataState& found) const;

  ModelDisk& model_;
  SharedDigests& digests_;
  const std::string path_;
  const std::shared_ptr<RocksFiles> files_;
  RocksEnv env_;
  std::optional<RocksEnv::BesideThreads> beside_;  // amid an install
  Hooks hooks_;
  std::unique_ptr<store::Store> store_;
  std::uint64_t first_pending_ = 1;           // the number of the model's first pending job
  bool flipped_ = false;                      // the data of the pending install is in force already
  std::deque<raft::SnapshotMetadata> trims_;  // asked for, not done
  std::deque<raft::Index> trim_applied_;      // the applied index at each of those requests
};

}  // namespace iris::sim
