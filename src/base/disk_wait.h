// Disk wait: a thread that serves many, the loop, must not wait for a disk. It says so by a
// LoopTurn, and what may wait for a disk asks may_wait_for_disk() first: a mistake is found by the
// first test that runs it, however fast the disk is.
// Any thread.
#pragma once

namespace iris {

// While one lives its thread may not wait for a disk. They do not nest.
class LoopTurn {
 public:
  LoopTurn();
  ~LoopTurn();
  LoopTurn(const LoopTurn&) = delete;
  LoopTurn& operator=(const LoopTurn&) = delete;
};

// REQUIRES: no LoopTurn on this thread.
void may_wait_for_disk();

}  // namespace iris
