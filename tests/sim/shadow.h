// Shadow: the map that a subscriber builds from all its streams. Its check compares it with the
// state at a revision (invariant WR): it must hold the last value of every key that the client is
// subscribed to and that changed since.
// One thread. Owns the map. The subscriber drops repeated updates first.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "src/listeners/update.h"
#include "tests/sim/ghost.h"

namespace iris::sim {

class Shadow {
 public:
  // `marks`: its streams carry RESYNC and SYNCED. Without them a client cannot learn of removals
  // from whole sources where the log was trimmed.
  Shadow(const Ghost& ghost, std::string session, bool marks)
      : ghost_(ghost), session_(std::move(session)), marks_(marks) {}

  void forget();
  void begin_state() { rows_.clear(); }
  void take_row(const Update& update);  // of a state under way
  void end_state(std::uint64_t revision);
  void take(const Update& update);

  // Empty: it equals the state at `revision`. Else what differs.
  [[nodiscard]] std::string differs(std::uint64_t revision) const;

 private:
  using Name = std::pair<std::string, std::string>;
  struct Entry {
    std::string value;
    std::uint64_t revision = 0;  // of the value
    std::uint64_t seen = 0;      // the latest revision at which it was so
  };
  // The subscriptions to a name that stand, as of a revision.
  struct Cover {
    std::uint64_t since = SessionModel::never;  // of the oldest
    bool single = false;                        // to this very key, before it changed last
  };
  [[nodiscard]] Cover cover(const std::string& source, const std::string& key,
                            std::uint64_t changed, std::uint64_t revision) const;

  const Ghost& ghost_;
  const std::string session_;
  const bool marks_;
  std::map<Name, Entry> entries_;
  std::map<Name, Entry> rows_;
};

}  // namespace iris::sim
