// World: all parts of one run, through which they find each other.
// One thread. Owns all of them.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tests/sim/ghost.h"
#include "tests/sim/host.h"
#include "tests/sim/network.h"
#include "tests/sim/options.h"
#include "tests/sim/rocks_disk.h"
#include "tests/sim/stats.h"
#include "tests/sim/timeline.h"

namespace iris::sim {

// The random streams of a run. A change in one part does not shift the others.
enum class RandomStream : std::uint64_t {
  options = 1,
  network = 2,
  faults = 3,
  workload = 4,
  members = 5,
  phases = 6,
  feeds = 7,   // what is drawn of the options
  levels = 8,  // likewise
  checks = 9,  // likewise
  odd_one = 10,
  hosts = 100,  // + number of the host
  subscribers = 1'000'000'000,
  streams = 2'000'000'000,
};

class World {
 public:
  explicit World(const SimOptions& given);
  ~World();
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  [[nodiscard]] Random random(RandomStream stream, std::uint64_t number = 0) const {
    return Random(options.seed, static_cast<std::uint64_t>(stream) + number);
  }
  [[nodiscard]] std::uint64_t now_us() const { return timeline.now_us(); }
  // The longest election timeout, in microseconds.
  [[nodiscard]] std::uint64_t election_us() const {
    return std::uint64_t{2} * options.node.raft.election_ticks * options.node.tick_ms * 1000;
  }

  [[nodiscard]] Host* host_of(raft::NodeId id);
  [[nodiscard]] Host* host_at(const std::string& address);
  [[nodiscard]] Host* leader();  // of the highest term, among those that run
  // The folder of a node, also a lost one; nullptr: none was ever made.
  [[nodiscard]] const ModelDisk* disk_of(raft::NodeId id) const;
  // Every configuration that can decide from now on: the committed one, and later ones in any log.
  [[nodiscard]] std::vector<raft::Members> members_in_force() const;
  // Keeps a lost folder, so that its votes and acknowledgements are still judged.
  void keep_lost(std::unique_ptr<ModelDisk> disk);
  // Gives a lost folder back. REQUIRES: it is among the lost ones.
  [[nodiscard]] std::unique_ptr<ModelDisk> take_lost(raft::NodeId id);
  [[nodiscard]] const std::map<std::uint64_t, std::unique_ptr<ModelDisk>>& lost_disks() const {
    return lost_disks_;
  }

  const SimOptions options;
  Timeline timeline;
  Stats stats;
  Ghost ghost;
  Network network;
  SharedDigests digests;  // of the tier of the production store
  std::vector<std::unique_ptr<Host>> hosts;
  // Called when a process has ended.
  std::function<void(Host&, std::uint64_t life)> on_process_end;

 private:
  std::map<std::uint64_t, std::unique_ptr<ModelDisk>> lost_disks_;
};

}  // namespace iris::sim
