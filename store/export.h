// RocksExport: a pinned state of the data as the stream of snapshot.h, made piece by piece: at
// most a piece and a block of it are in memory.
// Loop thread; the rows are read on the bulk lane. Owns the pinned state. A read that the disk
// refuses raises the alarm, and the piece is an Errc::io.
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
  RocksExport(std::shared_ptr<const Pinned> pinned, Alarm& alarm,
              std::function<void(BulkJob)> bulk);
  ~RocksExport() override;

  [[nodiscard]] const raft::SnapshotMetadata& mark() const override;
  void read(std::size_t bytes_max, std::function<void(Result<std::string>)> done) override;

 private:
  struct Work;  // of the bulk lane; outlives this while a read is under way
  std::shared_ptr<Work> work_;
  const std::function<void(BulkJob)> bulk_;
  std::shared_ptr<bool> reading_;  // loop only; an answer that finds it gone calls nobody
};

}  // namespace iris::store
