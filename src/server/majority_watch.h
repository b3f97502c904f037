// MajorityWatch: tells people that this node knows no leader, so that nothing can be written and
// linearizable reads wait: which voters it does not reach, how many are needed, and what to do; and
// tells them when it is over.
// Loop thread. Owns nothing but its clock of ticks. Decides nothing: it looks and says.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "raft/types.h"

namespace iris {

struct MajorityOptions {
  std::uint32_t tick_ms = 10;
  // So long without a leader is worth a word. An election after a leader's death is shorter.
  std::uint32_t patience_ms = 500;
  // A start has longer: nobody leads before the first election timeout is over.
  std::uint32_t start_patience_ms = 2'000;
  // While it lasts it is said again: after this time where other voters are missing than before (a
  // connection that went silent is noticed late), and after that one in any case.
  std::uint32_t change_ms = 5'000;
  std::uint32_t repeat_ms = 60'000;
};

struct MajorityHooks {
  std::function<bool()> has_leader;
  // The configuration; without voters (no cluster yet) there is nothing to miss.
  std::function<raft::Members()> members;
  // Does this node reach it? True for itself.
  std::function<bool(raft::NodeId node)> reaches;
};

class MajorityWatch {
 public:
  MajorityWatch(MajorityOptions options, MajorityHooks hooks);

  // Each tick of the loop.
  void tick();
  // No leader has been known for longer than patience: clients had better ask another node.
  [[nodiscard]] bool missing() const { return missing_; }
  // One line for people, where missing(); else empty.
  [[nodiscard]] std::string status() const;
  // The addresses of voters that this node does not reach; empty: none.
  [[nodiscard]] std::string unreached() const { return count().unreached; }

 private:
  struct Voters {
    std::size_t all = 0;
    std::size_t reached = 0;
    std::size_t needed = 0;
    std::string unreached;  // their addresses
  };
  [[nodiscard]] Voters count() const;
  [[nodiscard]] bool is_due() const;
  void say();

  const MajorityOptions options_;
  const MajorityHooks hooks_;
  std::uint64_t waited_ms_ = 0;  // without a leader
  std::uint64_t said_ms_ = 0;    // of waited_ms_, when it was said last
  std::string said_unreached_;
  bool led_ = false;  // a leader has been known since the start
  bool missing_ = false;
};

}  // namespace iris
