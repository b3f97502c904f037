// Nemesis: breaks networks, processes and disks, one fault after another, overlapping, each healed
// after a while. SimOptions says which kinds and how often.
// One thread. Owns the list of what must be undone. Never does what no system could survive: see
// may_lose().
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "raft/types.h"
#include "tests/sim/options.h"
#include "tests/sim/random.h"

namespace iris::sim {

class Host;
class World;

// The longest stall of a write with Fault::stall.
constexpr std::uint64_t disk_stall_us_max = 3'000'000;
// The longest write of the log without one.
[[nodiscard]] inline std::uint64_t log_sync_us_max(const SimOptions& options) {
  return options.sync_us * (options.has(Fault::slow_disk) ? 10 : 1);
}

class Nemesis {
 public:
  explicit Nemesis(World& world);
  void start();
  // No new faults; those under way stay until heal_*().
  void stop() { stopped_ = true; }

  // From now on these hosts and the links between them work. Links to and from others stay as they
  // are, or break for good.
  void heal_core(const std::vector<bool>& in_core);
  void heal_all();
  // Restarts the hosts whose process ended since heal_core() by a disk error that was under way.
  void revive(const std::vector<bool>& in_core) const;

  // Kills a process.
  void crash(Host& host) const;
  // A process has ended, killed or by itself: it is started again after a while.
  void process_ended(Host& host);
  // Members that may yet be removed: no other member's folder may be lost with them.
  void expect_removal(raft::NodeId id) { leaving_.push_back(id); }
  // True: the cluster can go on without this host's folder for ever. Of every configuration that is
  // or may come into force a majority is left.
  [[nodiscard]] bool may_lose(raft::NodeId id) const;

 private:
  void later();
  void act();
  void count(Fault fault);
  void undo_later(std::function<void()> undo);
  [[nodiscard]] Host* pick(bool running);
  [[nodiscard]] std::uint64_t some_time();

  void break_links(Fault fault);
  void block_pair(std::size_t from, std::size_t to);
  void break_link(Fault fault);
  void swizzle();
  void set_clock(Host& host);
  void break_process(Fault fault);
  void replace_build(Host& host);
  void crash_many(std::size_t count);
  void stall_process(Host* host);
  void break_disk(Fault fault);
  void lose_folder();
  void reset_host(Host& host) const;
  void set_disk_profile(Host& host);

  World& world_;
  Random random_;
  std::vector<Fault> enabled_;
  std::vector<raft::NodeId> leaving_;
  bool stopped_ = false;
  std::uint64_t epoch_ = 0;  // of the faults under way; healing everything begins a new one
};

}  // namespace iris::sim
