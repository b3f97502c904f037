#include "src/base/disk_wait.h"

#include <utility>

#include "raft/check.h"

namespace iris {
namespace {

thread_local bool in_loop_turn = false;

}  // namespace

LoopTurn::LoopTurn() { CHECK(!std::exchange(in_loop_turn, true)); }

LoopTurn::~LoopTurn() { in_loop_turn = false; }

void may_wait_for_disk() { CHECK(!in_loop_turn); }

}  // namespace iris
