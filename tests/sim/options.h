// SimOptions: everything one run of the simulator depends on. Drawn whole from the seed ("swarm":
// each seed has its own faults, strengths, sizes and limits), then narrowed by the command line,
// which is how a failing seed is shrunk.
// Plain values.
#pragma once

#include <array>
#include <bitset>
#include <cstdint>
#include <string>
#include <string_view>

#include "raft/result.h"
#include "src/listeners/listeners.h"
#include "src/node/node.h"

namespace iris::sim {

enum class Fault : std::uint8_t {
  loss,             // a Raft message vanishes
  duplicate,        // a Raft message comes twice, the second time perhaps in a later term
  reorder,          // a message is overtaken by later ones
  slow_link,        // links have a small bandwidth
  clog,             // a link holds everything back, then lets it go
  cut,              // messages in transit on a link are lost
  split,            // two halves that do not reach each other
  isolate,          // one host reaches nobody
  isolate_leader,   // the same, of the leader
  one_way,          // a link works in one direction
  bridge,           // two halves and one host that reaches both
  ring,             // everyone reaches two neighbours only
  chain,            // the same, but the two ends reach one
  swizzle,          // links stop one by one and come back in another order
  crash,            // a process ends; unsynced writes may be lost
  crash_at_output,  // the same, between two effects of one turn
  crash_leader,
  crash_majority,
  crash_all,
  pause,  // a process stands still, then gets all its inputs at once
  pause_leader,
  skew,           // clocks run at 0.5 to 2 times real time, each life of a process at its own rate
  slow_disk,      // every sync takes long
  stall,          // a sync now and then takes seconds
  disk_error,     // a write is refused: the process must end
  disk_full,      // no space for growth for a while
  cold_cache,     // reads that only the disk can answer
  wipe,           // a folder is lost; the host comes back as a new node
  old_folder,     // the folder of a node that was removed is started again
  stray_folder,   // a lost folder of a node that was replaced is found and started on its host
  join,           // a new host joins, is promoted
  remove,         // a follower or learner is removed
  remove_leader,  // the leader is removed
  transfer,       // leadership is handed over
  address,        // a host moves to another address
  upgrade,        // a host starts again with another build, mostly of a higher feature level
  count
};
inline constexpr std::size_t fault_count = static_cast<std::size_t>(Fault::count);

// The build to which hosts are upgraded: its level has a version of commands that no build before
// it knows (src/machine/command.h).
inline constexpr raft::Level newest_level{feature_level.value + 1};

[[nodiscard]] std::string_view name_of(Fault fault);

// A difference in one member's data (odd_one.h).
enum class Planted : std::uint8_t {
  none,
  changed_value,
  dropped_value,
  extra_value,
  changed_session,
};

struct SimOptions {
  std::uint64_t seed = 0;
  std::bitset<fault_count> faults;

  // --- The cluster.
  std::uint32_t voters = 3;     // at the beginning
  std::uint32_t spares = 0;     // hosts that may join
  bool bootstrap_alone = true;  // one node begins and the others join; else all begin as voters
  raft::Level first_level = feature_level;  // of the builds at the beginning
  NodeOptions node;

  // --- The world. Times in microseconds, chances in a million.
  std::uint64_t safety_us = 0;  // of the phase with faults
  std::uint64_t delay_us = 0;   // least time on a link
  std::uint64_t jitter_us = 0;  // at most this much more
  std::uint64_t loss = 0;
  std::uint64_t duplicate = 0;
  std::uint64_t reorder = 0;
  std::uint64_t link_bytes_per_s = 0;  // with slow_link; 0: no limit
  std::uint64_t fault_every_us = 0;    // mean time between two faults
  std::uint64_t fault_for_us = 0;      // mean time until one is healed
  std::uint64_t sync_us = 0;           // of the log, at most
  bool crash_keeps_nothing = false;    // of unsynced writes; else a random prefix
  bool wire = false;                   // messages travel as bytes
  bool rocks = false;                  // the production store instead of the model
  bool check_everything = false;       // every invariant of every node after every event

  // --- The load.
  std::uint32_t clients = 0;
  std::uint64_t think_us = 0;  // mean pause of a client between two calls
  std::uint32_t sources = 0;
  std::uint32_t keys = 0;
  std::uint32_t value_bytes_max = 0;
  std::uint64_t calls_max = 0;  // 0: no limit
  std::uint64_t call_ms = 0;    // deadline

  Planted planted = Planted::none;

  // --- Listen streams.
  std::uint64_t subscribers = 0;  // 0: none, and nodes serve none
  ListenersOptions listeners;
  std::uint64_t session_ttl_ms = 0;
  std::size_t expire_max = 0;             // sessions in one command
  std::size_t report_max = 0;             // sessions in one report
  std::uint64_t subscriber_think_us = 0;  // mean pause between two things a subscriber does
  std::uint64_t read_us = 0;  // of a slow client for the updates in transit to it, at most

  // Of the builds in the end, to which the cluster is raised.
  [[nodiscard]] raft::Level last_level() const {
    return has(Fault::upgrade) ? newest_level : first_level;
  }
  [[nodiscard]] bool has(Fault fault) const { return faults[static_cast<std::size_t>(fault)]; }
};

[[nodiscard]] SimOptions draw_options(std::uint64_t seed);
// "--without loss,split". Errors: Errc::invalid_argument with the word that names no fault.
[[nodiscard]] Status remove_faults(SimOptions& options, std::string_view names);
// One line for people: the options that this seed drew.
[[nodiscard]] std::string describe(const SimOptions& options);

}  // namespace iris::sim
