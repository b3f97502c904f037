#include "src/node/host.h"

#include <string>

namespace iris {

void Answers::give() {
  CHECK(!std::exchange(giving_, true));
  writes_now_.swap(writes_);
  reads_now_.swap(reads_);
  others_now_.swap(others_);
  for (Write& write : writes_now_) write.done(std::move(write.result));
  for (Read& read : reads_now_) read.done(std::move(read.status));
  for (const auto& other : others_now_) other();
  writes_now_.clear();
  reads_now_.clear();
  others_now_.clear();
  giving_ = false;
}

Error NodeHost::too_many_waiters() const {
  return {Errc::limit, "too many calls are waiting: the limit is " +
                           std::to_string(options.waiters_max) + " (waiters_max)"};
}

std::vector<raft::NodeId> NodeHost::unreachable_voters() const {
  std::vector<raft::NodeId> unreachable;
  for (const raft::Member& voter : core->members().voters) {
    if (voter.id != self && !transport.connected(voter.id)) unreachable.push_back(voter.id);
  }
  return unreachable;
}

std::uint64_t NodeHost::id_base() const {
  return mix(mix(options.life_seed) ^ options.raft.seed ^ self.value);
}

std::uint64_t mix(std::uint64_t seed) {
  seed += 0x9e3779b97f4a7c15u;
  seed = (seed ^ (seed >> 30)) * 0xbf58476d1ce4e5b9u;
  seed = (seed ^ (seed >> 27)) * 0x94d049bb133111ebu;
  return seed ^ (seed >> 31);
}

}  // namespace iris
