#include "src/listeners/update_cache.h"

namespace iris::listening {

UpdatePtr UpdateCache::update_of(const raft::EntryPtr& entry, const CommandView& command) {
  const bool put = command.kind == CommandView::Kind::set_value;
  const auto make = [&] {
    return entry_update(put ? Update::Op::put : Update::Op::remove, entry, command.source,
                        *command.key, command.value);
  };
  if (command.value.size() < large_update_bytes) return make();
  if (++made_ > large_.size()) {
    made_ = 0;
    std::erase_if(large_, [](const auto& one) { return one.second.expired(); });
  }
  std::weak_ptr<const Update>& shared = large_[entry->id.index.value];
  UpdatePtr update = shared.lock();
  if (!update) shared = update = make();
  return update;
}

}  // namespace iris::listening
