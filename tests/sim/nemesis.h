// Nemesis: breaks networks, processes and disks, one fault after another, overlapping, each healed
// after a while. Which exist and how often is drawn in SimOptions.
// One thread. Owns what must be undone. Judges nothing. Never does what no system could survive:
// see may_lose().
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

// A write takes so much longer at most with Fault::stall.
constexpr std::uint64_t disk_stall_us_max = 3'000'000;
// Otherwise a write of the log takes at most this long.
[[nodiscard]] inline std::uint64_t log_sync_us_max(const SimOptions& options) {
  return options.sync_us * (options.has(Fault::slow_disk) ? 10 : 1);
}

class Nemesis {
 public:
  explicit Nemesis(World& world);
  void start();
  // No new faults; those under way stay until heal_*().
  void stop() { stopped_ = true; }

  // Everything works between and on these hosts, from now on. Links to and from others stay as they
  // are; a link that worked may be broken for good.
  void heal_core(const std::vector<bool>& in_core);
  void heal_all();
  // Restarts the hosts whose process ended since heal_core() by a disk error that was under way.
  void revive(const std::vector<bool>& in_core) const;

  // How a process ends when somebody kills it.
  void crash(Host& host) const;
  // A process has ended, by the nemesis or by itself: it comes back after a while.
  void process_ended(Host& host);
  // These members will be removed some day, for all that is known: no other may be lost with them.
  void expect_removal(raft::NodeId id) { leaving_.push_back(id); }
  // The cluster can go on without this host's folder for ever: of every configuration that somebody
  // acts on or may act on, a majority is left.
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
  std::uint64_t epoch_ = 0;  // what is to be undone belongs to one; healing everything ends it
};

}  // namespace iris::sim
