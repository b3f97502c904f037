// UpdateCache: makes updates from log entries, a large one once for all listeners that replay the
// same entry: they share it, and its wire form, while any of them still holds it.
// Loop thread. Owns no update.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>

#include "src/listeners/update.h"
#include "src/machine/command.h"

namespace iris::listening {

class UpdateCache {
 public:
  // REQUIRES: `command` is the entry's, and changed the value of one key.
  [[nodiscard]] UpdatePtr update_of(const raft::EntryPtr& entry, const CommandView& command);

 private:
  std::map<std::uint64_t, std::weak_ptr<const Update>> large_;  // by revision
  std::size_t made_ = 0;                                        // since expired ones were erased
};

}  // namespace iris::listening
