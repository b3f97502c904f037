#include "src/base/descriptors.h"

#include <sys/resource.h>

#include <algorithm>

namespace iris {

DescriptorBudget descriptor_budget() {
  rlimit now{};
  if (::getrlimit(RLIMIT_NOFILE, &now) != 0) return {DescriptorBudget::limit_min};
  return {std::min<std::uint64_t>(now.rlim_cur, DescriptorBudget::limit_max)};
}

DescriptorBudget raise_descriptor_limit() {
  rlimit now{};
  if (::getrlimit(RLIMIT_NOFILE, &now) == 0) {
    const rlim_t wanted = std::min<rlim_t>(now.rlim_max, DescriptorBudget::limit_max);
    if (now.rlim_cur < wanted) {
      now.rlim_cur = wanted;
      // Where the kernel says no (a filter of system calls), the former limit stays and is said.
      static_cast<void>(::setrlimit(RLIMIT_NOFILE, &now));
    }
  }
  return descriptor_budget();
}

}  // namespace iris
