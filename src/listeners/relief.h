// Relief: where all queues together are full, the listener with most bytes gives its queue up,
// rather than that any stream ends or another one waits (hazard 126). Its updates come again from
// the log tail, or its state begins again, once its stream takes what was written.
// Loop thread.
#pragma once

#include <cstddef>

namespace iris::listening {

struct Shared;

// Space for so many bytes more in the queues, whichever listeners have to give up theirs for it;
// it may be the one that asks. False: there is none, because no queue can be given up.
bool make_space(Shared& shared, std::size_t bytes);

}  // namespace iris::listening
