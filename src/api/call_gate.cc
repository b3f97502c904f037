#include "src/api/call_gate.h"

#include <grpc/support/time.h>

#include <algorithm>

namespace iris {

std::uint64_t remaining_ms(const grpc::ServerContext& context) {
  const gpr_timespec deadline = context.raw_deadline();
  if (gpr_time_cmp(deadline, gpr_inf_future(deadline.clock_type)) == 0) return default_deadline_ms;
  const std::int32_t left_ms =
      gpr_time_to_millis(gpr_time_sub(deadline, gpr_now(deadline.clock_type)));
  if (left_ms <= 0) return 0;
  const auto left = static_cast<std::uint64_t>(left_ms);
  // Something for the way back and for a loop that is late, but not more than those ever take.
  return std::min(left - std::min<std::uint64_t>(left / 8, 250), deadline_ms_max);
}

}  // namespace iris
