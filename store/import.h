// Import: a snapshot stream on its way in. Checks it and writes it into sorted files beside the
// data, which DataDb::install() takes over as they are: nothing is written twice, and what is the
// truth is not touched.
// Bulk lane only. Owns its folder under staging/; deletes it unless the files have been moved.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "raft/result.h"
#include "raft/types.h"
#include "store/data_db.h"
#include "store/rocks.h"
#include "store/snapshot.h"

namespace rocksdb {
class SstFileWriter;
}

namespace iris::store {

class Import {
 public:
  // REQUIRES: nothing else uses `folder`. `options` outlives the import.
  Import(const RocksOptions& options, std::string folder, raft::SnapshotMark mark);
  ~Import();
  Import(const Import&) = delete;
  Import& operator=(const Import&) = delete;

  // Errc::corrupt for a damaged stream or one of another mark, Errc::io where the disk refuses.
  // After a failure every further call fails in the same way.
  Status chunk(std::string_view bytes);
  // No more of it is taken: this call and every further one fails, and says why.
  Status refuse(const std::string& why);
  // The stream was whole and is on disk. The import must outlive what is done with the files.
  Result<std::shared_ptr<const Staged>> finish();

  // `as` instead of the stream's own configuration (a restore). REQUIRES: before the first chunk.
  void become(raft::SnapshotMark as) { installed_as_ = std::move(as); }
  [[nodiscard]] const SnapshotReader& stream() const { return reader_; }

 private:
  Status begin(const raft::SnapshotMark& found);
  Status put(std::string_view row, std::string_view value);
  Status open_file();
  Status close_file();
  [[nodiscard]] unexpected<Error> refused(const std::string& why) const;

  const RocksOptions& options_;
  const std::string folder_;
  const raft::SnapshotMark mark_;
  raft::SnapshotMark installed_as_;
  SnapshotReader reader_;
  std::unique_ptr<rocksdb::SstFileWriter> file_;
  std::shared_ptr<Staged> staged_;
  Status state_ = Unit{};
};

}  // namespace iris::store
