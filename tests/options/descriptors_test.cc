// How many descriptors there are and what is kept back of them (src/base/descriptors.h).
#include "src/base/descriptors.h"

#include <sys/resource.h>

#include "tests/catch.h"

namespace iris {
namespace {

TEST_CASE("the soft limit of descriptors is raised to the hard one") {
  rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
  rlimit low = before;
  low.rlim_cur = 200;
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &low) == 0);
  REQUIRE(descriptor_budget().limit == 200);
  const auto raised = raise_descriptor_limit();
  rlimit after{};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &after) == 0);
  REQUIRE(after.rlim_max == before.rlim_max);
  REQUIRE(after.rlim_cur == std::min<rlim_t>(before.rlim_max, DescriptorBudget::limit_max));
  REQUIRE(raised.limit == after.rlim_cur);
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
}

TEST_CASE("what is kept back leaves clients a quarter at least, and never takes a limit whole") {
  for (std::uint64_t limit = DescriptorBudget::limit_min; limit < 3'000; ++limit) {
    const DescriptorBudget budget{limit};
    CAPTURE(limit);
    REQUIRE(budget.reserve() + budget.clients() == limit);
    REQUIRE(budget.clients() >= limit / 4);
    REQUIRE(budget.reserve() <= DescriptorBudget::reserve_max);
  }
  const DescriptorBudget all{1u << 20};
  REQUIRE(all.reserve() == 960);
  REQUIRE(all.data_files() == 512);
  REQUIRE(all.log_files() == 64);
  REQUIRE(all.handshakes() == 64);
  REQUIRE(all.strangers() == 16);
  REQUIRE(all.probes() == 64);
  const DescriptorBudget few{128};
  REQUIRE(few.clients() == 32);
  REQUIRE(few.handshakes() == 6);
  REQUIRE(few.data_files() == 51);
}

}  // namespace
}  // namespace iris
