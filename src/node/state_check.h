// StateCheck: do all members have the same data? The leader names the last entry of its log; each
// member hashes its state at exactly that entry (StateHashing) and tells the leader, which compares
// (state_compare.h) and tells each how it stands. A member that differs from a majority stops for
// good: odd(). No command goes into the log, as the state at a committed index is the same under
// every leader, so hashes of one index may always be compared.
// Loop thread. Owns the round under way of this leader. A member is never called odd for what was
// lost, late or of another life: it must have told that very hash in that very round itself.
//
// A round waits for the members that are heard, at most for round_ms_max. The next one begins
// NodeOptions::state_check_interval_ms later if the log has moved, and once in unchanged_rounds
// intervals even if it has not, since rows also rot on the disk.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "src/node/host.h"
#include "src/node/state_compare.h"
#include "src/node/state_hashing.h"

namespace iris {

class StateCheck {
 public:
  // All members of a cluster at this level know the messages of a check, and have come to their
  // rows by the same rules; before, no message of it is sent.
  static constexpr raft::Level level_min{1};
  static constexpr std::uint64_t round_ms_max = 3'600'000;
  static constexpr std::uint64_t unchanged_rounds = 36;
  // A new leader, or one whose last round had no result or found an odd one, begins the next after
  // this part of the interval.
  static constexpr std::uint64_t early_part = 10;
  // A member that has not answered is asked again after this time.
  static constexpr std::uint64_t ask_again_ms = 1'000;

  explicit StateCheck(NodeHost& host);

  // --- From peers.
  void asked(raft::NodeId from, const StateHashRequest& request) { hashing_.asked(from, request); }
  void answered(raft::NodeId from, const StateHashReply& reply);
  void told(raft::NodeId from, const StateVerdict& verdict);

  // --- From the turn.
  void start() { hashing_.start(); }
  [[nodiscard]] raft::Index wanted() const { return hashing_.wanted(); }
  void given(raft::Index last) { hashing_.given(last); }
  void role_changed();
  void tick();
  void stop();

  // The data of this node differs from that of a majority: the sentence that says so.
  [[nodiscard]] const std::optional<std::string>& odd() const { return odd_; }
  [[nodiscard]] StateCheckStatus status() const;

 private:
  struct Round {
    StateHashRequest request;
    raft::Members members;
    raft::Index members_index;
    std::map<raft::NodeId, StateHash> hashes;
    std::set<raft::NodeId> passed;  // cannot tell any more
    std::uint64_t begun_at = 0;
    std::uint64_t ask_at = 0;
  };

  [[nodiscard]] bool due() const;
  void begin();
  void ask();
  void conclude();
  void conclude_if_over();
  void tell(const Round& round, const StateComparison& comparison);
  void send(raft::NodeId to, const StateVerdict& verdict);
  void next_round(bool early);
  // Neither answered nor given up.
  [[nodiscard]] bool is_missing(raft::NodeId id) const;
  [[nodiscard]] bool is_asked(raft::NodeId id) const;

  NodeHost& host_;
  StateHashing hashing_;
  std::optional<Round> round_;
  std::uint64_t begun_ = 0;       // rounds of this life
  std::uint64_t due_at_ = 0;      // tick of the next round
  raft::Index checked_;           // the last index at which no member was found to differ
  std::uint64_t recheck_at_ = 0;  // tick: a round is due although the log has not moved
  std::uint64_t purged_ = 0;      // as far as any member that answered has purged
  std::optional<std::string> odd_;
  StateCheckStatus last_;      // but for its age
  std::uint64_t last_at_ = 0;  // tick
};

}  // namespace iris
