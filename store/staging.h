// Staging: the loop's side of a snapshot that is being received: at most one import, whose work is
// done on the bulk lane (import.h). A new import takes the place of a former one.
// Loop thread, but where a line says otherwise. Owns the import under way and its files, until
// take(). Must outlive the jobs it has queued.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "raft/result.h"
#include "raft/types.h"
#include "store/data_db.h"
#include "store/disk_gauge.h"
#include "store/import.h"
#include "store/lane.h"
#include "store/rocks.h"

namespace iris::store {

class Staging {
 public:
  // Imports get folders of their own below `folder`. `bulk` queues a job for the bulk lane.
  // `options` and `gauge` outlive this.
  Staging(const RocksOptions& options, std::string folder, const DiskGauge& gauge,
          std::function<void(BulkJob)> bulk);

  // As Store::import_begin(), import_chunk(), import_finish() and import_drop().
  void begin(raft::SnapshotMetadata mark);
  void chunk(std::string bytes, std::function<void(Status)> done);
  void finish(std::function<void(Status)> done);
  void drop();

  // The finished import of `mark`, for installation. Its files stay until the last owner of the
  // result lets go. REQUIRES: finish() of that import has succeeded.
  [[nodiscard]] std::shared_ptr<const Staged> take(const raft::SnapshotMetadata& mark);

 private:
  struct Slot {
    raft::SnapshotMetadata mark;
    std::unique_ptr<Import> work;          // bulk lane
    std::shared_ptr<const Staged> staged;  // loop; once the stream was whole and checked
  };
  // Bulk lane.
  Status stage(Import& import, const std::string& bytes) const;

  const RocksOptions& options_;
  const std::string folder_;
  const DiskGauge& gauge_;
  const std::function<void(BulkJob)> bulk_;
  std::shared_ptr<Slot> slot_;
  std::uint64_t imports_ = 0;
};

}  // namespace iris::store
