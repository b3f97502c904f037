#include "store/export.h"

#include <rocksdb/options.h>

#include <utility>

#include "raft/check.h"
#include "store/keys.h"
#include "store/snapshot.h"

namespace iris::store {

namespace {

constexpr std::size_t readahead_bytes = 1u << 20;

rocksdb::ReadOptions whole_family(const Pinned& pinned) {
  rocksdb::ReadOptions read;
  read.snapshot = pinned.snapshot();
  read.fill_cache = false;  // else it would push out what clients read
  read.verify_checksums = true;
  read.readahead_size = readahead_bytes;
  return read;
}

// The store's own table, the first, is not exported.
std::string first_row() { return {static_cast<char>(static_cast<int>(Table::meta) + 1)}; }
std::string behind_last_row() { return {static_cast<char>(0xff)}; }

}  // namespace

struct RocksExport::Work {
  Work(std::shared_ptr<const Pinned> state, Alarm& alarm_of)
      : pinned(std::move(state)), mark(pinned->mark().metadata()), alarm(alarm_of), writer(mark) {}

  Result<std::string> read(std::size_t bytes_max) {
    if (rows == nullptr) {
      rows = std::make_unique<RowCursor>(pinned->family(), whole_family(*pinned), first_row(),
                                         behind_last_row(), alarm);
    }
    for (; writer.ready_bytes() < bytes_max && rows->valid(); rows->next()) {
      writer.row(Table{static_cast<std::uint8_t>(rows->row().front())}, rows->key(), rows->value());
    }
    if (alarm.raised()) return fail(Errc::io, "the data cannot be read");
    if (!rows->valid() && !std::exchange(finished, true)) writer.finish();
    return writer.take(bytes_max);
  }

  const std::shared_ptr<const Pinned> pinned;
  const raft::SnapshotMetadata mark;
  Alarm& alarm;
  SnapshotWriter writer;
  std::unique_ptr<RowCursor> rows;  // made on the lane, as that reads already
  bool finished = false;
};

RocksExport::RocksExport(std::shared_ptr<const Pinned> pinned, Alarm& alarm,
                         std::function<void(BulkJob)> bulk)
    : work_(std::make_shared<Work>(std::move(pinned), alarm)),
      bulk_(std::move(bulk)),
      reading_(std::make_shared<bool>(false)) {}

// The lane destroys the iterator: that may delete gigabytes of files.
RocksExport::~RocksExport() {
  bulk_([work = std::move(work_)](Answers&) mutable { work.reset(); });
}

const raft::SnapshotMetadata& RocksExport::mark() const { return work_->mark; }

void RocksExport::read(std::size_t bytes_max, std::function<void(Result<std::string>)> done) {
  CHECK(bytes_max > 0);
  CHECK(!std::exchange(*reading_, true));
  bulk_([work = work_, bytes_max, reading = std::weak_ptr<bool>(reading_),
         done = std::move(done)](Answers& answers) {
    answers.emplace_back([reading, done, bytes = work->read(bytes_max)] {
      const std::shared_ptr<bool> still = reading.lock();
      if (still == nullptr) return;
      *still = false;
      done(bytes);
    });
  });
}

}  // namespace iris::store
