// Import: a snapshot stream that is being received. Checks it and writes it into sorted files
// beside the data. DataDb::install() moves these files, so each row is written once, and the data
// is not touched before.
// Bulk lane only. Owns its folder below staging/ and deletes it, with the files that have not been
// moved by then.
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
  // `mark`: the one that the stream must have. `options` outlives the import. REQUIRES: nothing
  // else uses `folder`.
  Import(const RocksOptions& options, std::string folder, raft::SnapshotMetadata mark);
  ~Import();
  Import(const Import&) = delete;
  Import& operator=(const Import&) = delete;

  // The next bytes of the stream. Errc::corrupt: it is damaged or of another mark. Errc::refused:
  // of a newer format. Errc::io: the disk refuses. After an error every further call returns it
  // again.
  Status chunk(std::string_view bytes);
  // Fails the import: this call and every further one returns an Errc::io that says why.
  Status refuse(const std::string& why);
  // After the last bytes. Errc::corrupt: the stream is not whole. On success the files are synced;
  // the import must live until they are installed.
  Result<std::shared_ptr<const Staged>> finish();

  // The data becomes `as` instead of the stream's own mark, as in a restore. REQUIRES: before the
  // first chunk.
  void become(raft::SnapshotMetadata as) { installed_as_ = std::move(as); }
  [[nodiscard]] const SnapshotReader& stream() const { return reader_; }

 private:
  Status begin(const raft::SnapshotMetadata& found);
  Status put(std::string_view row, std::string_view value);
  Status open_file();
  Status close_file();
  [[nodiscard]] unexpected<Error> refused(const std::string& why) const;

  const RocksOptions& options_;
  const std::string folder_;
  const raft::SnapshotMetadata mark_;
  raft::SnapshotMetadata installed_as_;
  SnapshotReader reader_;
  std::unique_ptr<rocksdb::SstFileWriter> file_;
  std::shared_ptr<Staged> staged_;
  Status state_ = Unit{};
};

}  // namespace iris::store
