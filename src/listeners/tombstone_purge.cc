#include "src/listeners/tombstone_purge.h"

#include <algorithm>
#include <memory>

#include "src/machine/machine.h"

namespace iris::listening {

void TombstonePurge::raise_floor(std::uint64_t floor) { floor_ = std::max(floor_, floor); }

void TombstonePurge::allow(std::uint64_t purged) {
  allowed_ = true;
  purged_ = std::max(purged_, purged);
}

void TombstonePurge::run() {
  if (under_way_ || !allowed_) return;
  std::uint64_t floor = floor_;
  if (const auto kept = kept_.least()) floor = std::min(floor, *kept - 1);
  if (floor <= purged_) return;
  under_way_ = true;
  auto more = std::make_shared<bool>(false);
  store_.maintain([more, floor, records = records_max_](
                      store::Batch& batch) { *more = purge(batch, floor, records); },
                  alive_.guard([this, more, floor] {
                    under_way_ = false;
                    if (!*more) purged_ = std::max(purged_, floor);
                    run();
                  }));
}

}  // namespace iris::listening
