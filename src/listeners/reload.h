// Reload: after a snapshot was installed every listener goes back to Loading, in bounded pieces of
// one pump() (hazard 129). Until its turn comes a listener gets nothing: what it knows of its
// session and of the log is of before the snapshot.
// Loop thread.
#pragma once

#include <cstddef>
#include <cstdint>

#include "src/listeners/listeners.h"

namespace iris::listening {

struct Shared;

class Reload {
 public:
  // `seen`: the last entry that was published before the snapshot.
  void begin(Shared& shared, std::uint64_t seen);
  void go_on(Shared& shared, std::size_t& budget);

  [[nodiscard]] bool is_due(ListenerId id) const { return done_ < id && id <= last_; }
  [[nodiscard]] bool empty() const { return done_ == last_; }

 private:
  ListenerId done_;
  ListenerId last_;
  std::uint64_t seen_ = 0;
};

}  // namespace iris::listening
