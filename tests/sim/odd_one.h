// OddOne: the phase in which one member's data is made to differ, and the judgement of what
// follows (invariant OD): exactly that member is found by the state check and stops; its folder is
// replaced by an empty one, as an operator does, and the host comes back as a new member.
// One thread. It runs when all members agree and nothing else is broken, so that the time in which
// it must be found is known. What differs are rows that no client of the run reads.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "tests/sim/calls.h"
#include "tests/sim/random.h"

namespace iris::sim {

class Host;
class World;

class OddOne {
 public:
  // `advance` lets so many microseconds pass.
  OddOne(World& world, Calls& calls, std::function<void(std::uint64_t us)> advance);

  // `may_be`: hosts whose folder the cluster can do without for ever. The member that is chosen
  // among them may lead. False: there are none, or the seed has no odd one.
  bool run(const std::function<bool(const Host& host)>& may_be, std::uint64_t patience_us);

 private:
  [[nodiscard]] Host* choose(const std::function<bool(const Host& host)>& may_be);
  void prepare(std::uint64_t patience_us);
  void plant(Host& host);
  void await_end(Host& host, std::uint64_t patience_us);
  void await_return(Host& odd, std::uint64_t patience_us);
  void set(const char* key, std::uint64_t until_us);
  void write_through(const std::function<Operation()>& operation, std::uint64_t until_us);
  [[nodiscard]] std::uint64_t check_us() const;

  World& world_;
  Calls& calls_;
  const std::function<void(std::uint64_t us)> advance_;
  Random random_;
  std::uint64_t writes_ = 0;
};

}  // namespace iris::sim
