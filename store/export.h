// RocksExport: a pinned state of the data, made into the stream of snapshot.h piece by piece, so
// that no more than a piece and a block of it is ever in memory.
// Loop thread; the reading is done on the bulk lane. Owns the pinned state.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "raft/result.h"
#include "raft/types.h"
#include "store/alarm.h"
#include "store/lane.h"
#include "store/store.h"
#include "store/views.h"

namespace iris::store {

class RocksExport final : public Export {
 public:
  // `bulk` queues a job for the bulk lane.
  RocksExport(std::shared_ptr<const Pinned> pinned, raft::SnapshotMark mark, Alarm& alarm,
              std::function<void(BulkJob)> bulk);
  ~RocksExport() override;

  [[nodiscard]] const raft::SnapshotMark& mark() const override;
  void read(std::size_t bytes_max, std::function<void(Result<std::string>)> done) override;

 private:
  struct Work;  // what the lane works on; outlives this where a read is under way
  std::shared_ptr<Work> work_;
  const std::function<void(BulkJob)> bulk_;
  std::shared_ptr<bool> reading_;  // loop only; gone with this
};

}  // namespace iris::store
