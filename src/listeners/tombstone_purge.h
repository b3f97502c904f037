// TombstonePurge: deletes tombstones and no-ops from the store once the log was trimmed past them,
// and no listener still reads the tombstone.
// Loop thread; the deleting itself runs on the store's data lane, a few records at a time.
#pragma once

#include <cstddef>
#include <cstdint>

#include "src/listeners/alive.h"
#include "src/listeners/pins.h"
#include "store/store.h"

namespace iris::listening {

class TombstonePurge {
 public:
  // REQUIRES: the store outlives this, records_max > 0.
  TombstonePurge(store::Store& store, std::size_t records_max)
      : store_(store), records_max_(records_max) {}

  // The log was trimmed up to here. Lower than before: ignored.
  void raise_floor(std::uint64_t floor);
  [[nodiscard]] std::uint64_t floor() const { return floor_; }
  // Deleting may begin. Up to `purged` all is deleted already.
  void allow(std::uint64_t purged);
  // Deletes what may be deleted. To be called when the floor rises or a pin is reset.
  void run();

  // The tombstone of this revision, and all that follow, stay.
  [[nodiscard]] Pin keep(std::uint64_t revision) { return kept_.hold(revision); }

 private:
  store::Store& store_;
  const std::size_t records_max_;
  Pins kept_;
  std::uint64_t floor_ = 0;
  std::uint64_t purged_ = 0;  // up to here it is done
  bool allowed_ = false;
  bool under_way_ = false;
  const Alive alive_;
};

}  // namespace iris::listening
